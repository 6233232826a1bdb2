import { type Epoch, parseEpoch } from '../../base/index.ts';
import type { Lsn } from '../../wire/index.ts';

/** A place in a database's log: behind every event up to and including (LSN, index) of the given epoch. */
export interface Position {
  /** The number of the epoch in its log, from 1, which makes positions of two epochs comparable. */
  readonly ordinal: number;
  /** The commit LSN of the transaction. LSNs of single changes go backwards across transactions and order nothing. */
  readonly lsn: Lsn;
  /** Counts the events of the transaction, from 0. */
  readonly index: number;
}

/** Before every event. */
export const ORIGIN: Position = { ordinal: 0, lsn: 0n, index: 0 };

/** Negative, zero or positive as `a` lies before, at or behind `b`. */
export function comparePositions(a: Position, b: Position): number {
  if (a.ordinal !== b.ordinal) return a.ordinal - b.ordinal;
  if (a.lsn !== b.lsn) return a.lsn < b.lsn ? -1 : 1;
  return a.index - b.index;
}

/** The position that a row of the log's file holds. */
export function positionOf(row: {
  readonly ordinal: bigint;
  readonly lsn: bigint;
  readonly position: bigint;
}): Position {
  return { ordinal: Number(row.ordinal), lsn: row.lsn, index: Number(row.position) };
}

const OFFSET = /^([0-9a-f]{4})-([0-9a-f]{16})-([0-9a-f]{16})-([0-9a-f]{8})$/;

/**
 * The id of an event and its stream offset: opaque to clients, unique, and in log order when sorted as text within one
 * database.
 */
export function formatOffset(position: Position, epoch: Epoch): string {
  const ordinal = position.ordinal.toString(16).padStart(4, '0');
  const lsn = position.lsn.toString(16).padStart(16, '0');
  const index = position.index.toString(16).padStart(8, '0');
  return `${ordinal}-${epoch}-${lsn}-${index}`;
}

/** Parses an offset; undefined for any other text. The caller has to check that the epoch is one of its log. */
export function parseOffset(text: string): { readonly position: Position; readonly epoch: Epoch } | undefined {
  const match = OFFSET.exec(text);
  const epoch = parseEpoch(match?.[2] ?? '');
  if (match === null || epoch === undefined) return undefined;
  return {
    position: {
      ordinal: Number.parseInt(match[1] as string, 16),
      lsn: BigInt(`0x${match[3]}`),
      index: Number.parseInt(match[4] as string, 16),
    },
    epoch,
  };
}
