/**
 * The streaming replication protocol inside CopyData (PostgreSQL manual, "Streaming Replication Protocol"): XLogData
 * and keepalives from the server, standby status updates to the server.
 */
import { ProtocolError } from '../bytes/index.ts';

/** A position in the write-ahead log. */
export type Lsn = bigint;

/** The microseconds between 1970 and 2000, where Postgres' clock begins. */
const POSTGRES_EPOCH_US = 946_684_800_000_000n;
const LSN_TEXT = /^([0-9A-Fa-f]{1,8})\/([0-9A-Fa-f]{1,8})$/;

/** Reads an LSN such as `16/B374D848`; undefined if the text is not an LSN. */
export function parseLsn(text: string): Lsn | undefined {
  const match = LSN_TEXT.exec(text);
  if (match === null) return undefined;
  return (BigInt(`0x${match[1]}`) << 32n) | BigInt(`0x${match[2]}`);
}

/** The LSN as Postgres prints it. */
export function formatLsn(lsn: Lsn): string {
  return `${(lsn >> 32n).toString(16).toUpperCase()}/${(lsn & 0xffffffffn).toString(16).toUpperCase()}`;
}

/** A time of the protocol (microseconds since 2000) in milliseconds since 1970. */
export function postgresTimeToMs(microseconds: bigint): number {
  return Number((microseconds + POSTGRES_EPOCH_US) / 1000n);
}

export interface XLogData {
  readonly kind: 'data';
  /** Where the record of this message begins. It goes back between transactions: nothing may be ordered by it. */
  readonly walStart: Lsn;
  /** The end of the WAL, as far as the server knows. */
  readonly walEnd: Lsn;
  /** The output plugin's message; a view into the frame. */
  readonly data: Buffer;
}

export interface Keepalive {
  readonly kind: 'keepalive';
  /** How far the server has decoded and sent. */
  readonly walEnd: Lsn;
  readonly replyRequested: boolean;
}

export type ReplicationMessage = XLogData | Keepalive;

const XLOG_DATA = 0x77; // w
const KEEPALIVE = 0x6b; // k
const XLOG_DATA_HEADER_BYTES = 25;
const KEEPALIVE_BYTES = 18;

/** Reads the payload of one CopyData message. Throws {@link ProtocolError}. */
export function decodeReplicationMessage(payload: Buffer): ReplicationMessage {
  const type = payload[0];
  if (type === XLOG_DATA && payload.length >= XLOG_DATA_HEADER_BYTES) {
    return {
      kind: 'data',
      walStart: payload.readBigUInt64BE(1),
      walEnd: payload.readBigUInt64BE(9),
      data: payload.subarray(XLOG_DATA_HEADER_BYTES),
    };
  }
  if (type === KEEPALIVE && payload.length === KEEPALIVE_BYTES) {
    return { kind: 'keepalive', walEnd: payload.readBigUInt64BE(1), replyRequested: payload[17] === 1 };
  }
  throw new ProtocolError(`not a replication message: type ${type}, ${payload.length} bytes`);
}

export interface StandbyStatus {
  /** The position behind the last byte that was received and written. */
  readonly written: Lsn;
  /** The position behind the last byte that is durable in the receiver: the slot may forget everything before it. */
  readonly flushed: Lsn;
  readonly replyRequested: boolean;
  /** The receiver's clock, in milliseconds since 1970. */
  readonly nowMs: number;
}

/** The payload of a CopyData message that tells the server how far the receiver is. */
export function encodeStandbyStatus(status: StandbyStatus): Buffer {
  const out = Buffer.allocUnsafe(34);
  out[0] = 0x72; // r
  out.writeBigUInt64BE(status.written, 1);
  out.writeBigUInt64BE(status.flushed, 9);
  out.writeBigUInt64BE(status.flushed, 17); // applied
  out.writeBigInt64BE(BigInt(Math.round(status.nowMs)) * 1000n - POSTGRES_EPOCH_US, 25);
  out[33] = status.replyRequested ? 1 : 0;
  return out;
}
