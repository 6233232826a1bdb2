import { assert } from '../../base/index.ts';
import {
  BEYOND,
  type DecodedColumn,
  type DecodedMessage,
  type DecodedTable,
  type DecodedTuple,
  type Lsn,
  type TupleValue,
} from '../../wire/index.ts';
import type { Operation, TableName } from '../log/index.ts';

/** The columns of a table as they were printed. */
export interface Shape {
  readonly table: TableName;
  readonly columns: readonly DecodedColumn[];
  /** The table may have columns that were not printed. */
  readonly partial: boolean;
}

/**
 * A change as it was printed. Values are in the order of the shape's columns; undefined for a value that was not
 * printed.
 */
export interface AssembledChange {
  readonly operation: Operation;
  readonly shape: Shape;
  readonly before: readonly TupleValue[] | undefined;
  readonly after: readonly TupleValue[] | undefined;
  /** The end of the message is missing. */
  readonly cut: boolean;
}

/** One transaction, or a piece of one. */
export interface AssembledTransaction {
  /** Orders transactions: where the transaction before ended. */
  readonly lsn: Lsn;
  readonly xid: number;
  /** Undefined while the transaction is open. */
  readonly committedAtMs: number | undefined;
  readonly firstIndex: number;
  readonly changes: readonly AssembledChange[];
}

export interface Assembly {
  readonly transactions: readonly AssembledTransaction[];
  /** Where the stream goes on after these transactions; undefined while the last one is open. */
  readonly endLsn: Lsn | undefined;
  /**
   * Tables may have changed: a transaction without changes of rows was among these, or they are the first of the
   * stream.
   */
  readonly tablesChanged: boolean;
  /**
   * Transactions that have committed since the last assembly, at most the last {@link XIDS_MAX}, including those
   * without changes of rows.
   */
  readonly xids: readonly number[];
}

interface Open {
  readonly lsn: Lsn;
  readonly xid: number;
  committedAtMs: number | undefined;
  firstIndex: number;
  changes: AssembledChange[];
}

/** Earlier transactions are visible to every session by then. */
const XIDS_MAX = 1000;
/** Tables whose last whole shape is remembered, for changes that print a part of the columns. */
const SHAPES_MAX = 2000;

/**
 * Turns the stream of one connection into batches for the log: whole transactions as they commit, a giant transaction
 * in pieces. Memory is what was pushed and not yet taken; the caller stops reading when {@link bytes} is over its
 * bound.
 *
 * A transaction's place in the order is known before its commit is read: it is the end of the transaction before, or
 * for the first one the LSN at which the stream was asked to start. Places grow from transaction to transaction, and
 * after a restart every transaction is behind all that were stored.
 */
export class TransactionAssembler {
  /** By the columns that a tuple was printed with: one object per list of columns. */
  readonly #shapes = new WeakMap<readonly DecodedColumn[], Shape>();
  /** The last whole shape of each table. */
  readonly #whole = new Map<DecodedTable, Shape>();
  readonly #pieceBytes: number;
  #lastEnd: Lsn;
  #open: Open | undefined;
  #openBytes = 0;
  #complete: AssembledTransaction[] = [];
  #completeBytes = 0;
  #endLsn: Lsn | undefined;
  #tablesChanged = true;
  #xids: number[] = [];

  /** An open transaction of more than `pieceBytes` is handed over in pieces. `startLsn`: where the stream begins. */
  constructor(pieceBytes: number, startLsn: Lsn) {
    this.#pieceBytes = pieceBytes;
    this.#lastEnd = startLsn;
  }

  /** Bytes of messages that wait to be taken. */
  get bytes(): number {
    return this.#openBytes + this.#completeBytes;
  }
  /** No transaction is open, and everything was taken. */
  get empty(): boolean {
    return this.#open === undefined && this.#endLsn === undefined;
  }

  /** Takes the next message, of `bytes` bytes; `lsn` is the message's position, for a commit the end of the commit. */
  push(message: DecodedMessage, lsn: Lsn, bytes: number): void {
    switch (message.kind) {
      case 'begin':
        assert(this.#open === undefined, 'transactions do not nest');
        this.#open = { lsn: this.#lastEnd, xid: message.xid, committedAtMs: undefined, firstIndex: 0, changes: [] };
        return;
      case 'commit': {
        const open = this.#open;
        assert(open !== undefined, 'a commit follows its begin');
        assert(lsn > this.#lastEnd, 'commits come in their order');
        if (open.firstIndex === 0 && open.changes.length === 0) this.#tablesChanged = true;
        else this.#complete.push({ ...open, committedAtMs: message.committedAtMs });
        this.#xids.push(open.xid);
        if (this.#xids.length > 2 * XIDS_MAX) this.#xids = this.#xids.slice(-XIDS_MAX);
        this.#completeBytes += this.#openBytes;
        this.#endLsn = lsn;
        this.#lastEnd = lsn;
        this.#open = undefined;
        this.#openBytes = 0;
        return;
      }
      case 'change': {
        const { operation, table, before, after, cut } = message;
        const shape = this.#shapeOf(table, before, after, cut);
        this.#add(bytes, {
          ...{ operation, shape, cut },
          before: before && valuesBy(shape, before, cut && after === undefined),
          after: after && valuesBy(shape, after, cut),
        });
        return;
      }
      case 'truncate':
        for (const table of message.tables) {
          const shape = this.#whole.get(table) ?? { table, columns: [], partial: true };
          this.#add(bytes, { operation: 'truncate', shape, before: undefined, after: undefined, cut: false });
        }
        return;
      case 'other':
        return;
    }
  }

  /** Gives what is ready for the log: complete transactions, or else a piece of a large open one, or else nothing. */
  take(): Assembly | undefined {
    const tablesChanged = this.#tablesChanged;
    if (this.#endLsn !== undefined) {
      const xids = this.#xids.slice(-XIDS_MAX);
      const assembly = { transactions: this.#complete, endLsn: this.#endLsn, tablesChanged, xids };
      this.#xids = [];
      this.#complete = [];
      this.#completeBytes = 0;
      this.#endLsn = undefined;
      this.#tablesChanged = false;
      return assembly;
    }
    const open = this.#open;
    if (open === undefined || this.#openBytes < this.#pieceBytes) return undefined;
    const assembly = { transactions: [{ ...open }], endLsn: undefined, tablesChanged, xids: [] };
    open.firstIndex += open.changes.length;
    open.changes = [];
    this.#openBytes = 0;
    this.#tablesChanged = false;
    return assembly;
  }

  #add(bytes: number, change: AssembledChange): void {
    const open = this.#open;
    assert(open !== undefined, 'changes lie between begin and commit');
    open.changes.push(change);
    this.#openBytes += bytes;
  }

  /**
   * A new row prints all columns of its table. An old row prints some, which belong to the shape that was printed last
   * if that has them all.
   */
  #shapeOf(
    table: DecodedTable,
    before: DecodedTuple | undefined,
    after: DecodedTuple | undefined,
    cut: boolean,
  ): Shape {
    const printed = after ?? before;
    const whole = after !== undefined && !cut;
    if (!whole) {
      const last = this.#whole.get(table);
      const all = [...(before?.columns ?? []), ...(after?.columns ?? [])];
      if (last !== undefined && all.every((column) => indexOf(last.columns, column) >= 0)) return last;
    }
    if (printed === undefined) return { table, columns: [], partial: true };
    let shape = this.#shapes.get(printed.columns);
    if (shape === undefined || shape.table !== table) {
      shape = { table, columns: printed.columns, partial: !whole };
      this.#shapes.set(printed.columns, shape);
    }
    if (whole) {
      if (this.#whole.size >= SHAPES_MAX && !this.#whole.has(table)) this.#whole.clear();
      this.#whole.set(table, shape);
    }
    return shape;
  }
}

function indexOf(columns: readonly DecodedColumn[], { name, type }: DecodedColumn): number {
  return columns.findIndex((column) => column.name === name && column.type === type);
}

/**
 * The values at their places in the shape. A value that was not printed is undefined, or {@link BEYOND} if the message
 * was `cut`.
 */
function valuesBy(shape: Shape, tuple: DecodedTuple, cut: boolean): readonly TupleValue[] {
  if (tuple.columns === shape.columns) return tuple.values;
  const values: TupleValue[] = new Array(shape.columns.length).fill(cut ? BEYOND : undefined);
  for (const [i, column] of tuple.columns.entries()) {
    const index = shape.columns.findIndex(({ name }) => name === column.name);
    if (index >= 0) values[index] = tuple.values[i];
  }
  return values;
}
