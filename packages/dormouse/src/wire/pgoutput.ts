/**
 * Messages of the output plugin pgoutput, protocol version 1, text values (PostgreSQL manual,
 * "Logical Replication Message Formats"). Pure: bytes in, values out.
 */
import { ProtocolError } from './protocol-error.ts';
import { type Lsn, postgresTimeToMs } from './replication.ts';

/** A value that lies behind the end of a message that was cut. */
export const BEYOND: unique symbol = Symbol('beyond the cut');
/** One column's value: text, NULL, or undefined where the server left an unchanged TOASTed value out. */
export type TupleValue = string | null | undefined | typeof BEYOND;

export interface PgoutputBegin {
  readonly kind: 'begin';
  /** The commit LSN of the transaction that follows: what events are ordered by. */
  readonly commitLsn: Lsn;
  /** Milliseconds since 1970. */
  readonly committedAtMs: number;
  readonly xid: number;
}
export interface PgoutputCommit {
  readonly kind: 'commit';
  readonly commitLsn: Lsn;
  /** The LSN to acknowledge and to go on from. */
  readonly endLsn: Lsn;
  readonly committedAtMs: number;
}
export interface PgoutputColumn {
  readonly name: string;
  readonly typeOid: number;
  readonly typeModifier: number;
  /** Part of the replica identity. */
  readonly key: boolean;
}
export interface PgoutputRelation {
  readonly kind: 'relation';
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
  /** d default, n nothing, f full, i index. */
  readonly identity: string;
  readonly columns: readonly PgoutputColumn[];
}
export interface PgoutputInsert {
  readonly kind: 'insert';
  readonly relationOid: number;
  readonly after: TupleValue[];
}
export interface PgoutputUpdate {
  readonly kind: 'update';
  readonly relationOid: number;
  /** The old key (`key`) if it changed, the old row (`row`) under REPLICA IDENTITY FULL, else absent. */
  readonly beforeKind: 'key' | 'row' | undefined;
  readonly before: TupleValue[] | undefined;
  readonly after: TupleValue[];
}
export interface PgoutputDelete {
  readonly kind: 'delete';
  readonly relationOid: number;
  readonly beforeKind: 'key' | 'row';
  readonly before: TupleValue[];
}
export interface PgoutputTruncate {
  readonly kind: 'truncate';
  readonly relationOids: readonly number[];
}
/** A type of the database's own, sent before the first relation that uses it. */
export interface PgoutputType {
  readonly kind: 'type';
  readonly oid: number;
  readonly schema: string;
  readonly name: string;
}
/** What we have no use for: origins, logical messages. */
export interface PgoutputOther {
  readonly kind: 'other';
  readonly type: string;
}

export type PgoutputMessage =
  | PgoutputBegin
  | PgoutputCommit
  | PgoutputRelation
  | PgoutputInsert
  | PgoutputUpdate
  | PgoutputDelete
  | PgoutputTruncate
  | PgoutputType
  | PgoutputOther;

/** Walks over one message; a read past its end is a format error. */
class Cursor {
  readonly bytes: Buffer;
  /** More bytes followed: tuples are read as far as they are there. */
  readonly cut: boolean;
  at = 1;

  constructor(bytes: Buffer, cut: boolean) {
    this.bytes = bytes;
    this.cut = cut;
  }

  /** Whether a value of `count` bytes lies behind the end of a message that was cut: then nothing of it is left. */
  #beyond(count: number): boolean {
    if (!this.cut || this.at + count <= this.bytes.length) return false;
    this.at = this.bytes.length;
    return true;
  }

  #take(count: number): number {
    const start = this.at;
    if (count < 0 || start + count > this.bytes.length) throw new ProtocolError('pgoutput message is cut short');
    this.at = start + count;
    return start;
  }
  byte(): number {
    return this.bytes[this.#take(1)] as number;
  }
  int16(): number {
    return this.bytes.readUInt16BE(this.#take(2));
  }
  int32(): number {
    return this.bytes.readInt32BE(this.#take(4));
  }
  oid(): number {
    return this.bytes.readUInt32BE(this.#take(4));
  }
  int64(): bigint {
    return this.bytes.readBigUInt64BE(this.#take(8));
  }
  timeMs(): number {
    return postgresTimeToMs(this.bytes.readBigInt64BE(this.#take(8)));
  }
  text(length: number): string {
    const start = this.#take(length);
    return this.bytes.toString('utf8', start, start + length);
  }
  string(): string {
    const end = this.bytes.indexOf(0, this.at);
    if (end < 0) throw new ProtocolError('pgoutput string has no end');
    const out = this.bytes.toString('utf8', this.at, end);
    this.at = end + 1;
    return out;
  }
  tuple(): TupleValue[] {
    if (this.#beyond(2)) return [];
    const count = this.int16();
    const out: TupleValue[] = new Array(count).fill(BEYOND);
    for (let i = 0; i < count && !this.#beyond(1); i++) {
      const kind = this.byte();
      if (kind === 0x74) {
        if (this.#beyond(4)) break;
        const length = this.int32();
        if (this.#beyond(length)) break;
        out[i] = this.text(length);
      } else if (kind === 0x6e) out[i] = null;
      else if (kind === 0x75) out[i] = undefined;
      else throw new ProtocolError(`pgoutput column of kind ${kind}`);
    }
    return out;
  }
  expect(byte: number): void {
    if (this.#beyond(1)) return;
    if (this.byte() !== byte) throw new ProtocolError('pgoutput tuple marker expected');
  }
  beforeKind(marker: number): 'key' | 'row' {
    if (marker === 0x4b) return 'key';
    if (marker === 0x4f) return 'row';
    throw new ProtocolError(`pgoutput tuple marker ${marker}`);
  }
  done<T>(message: T): T {
    if (this.at !== this.bytes.length) throw new ProtocolError('pgoutput message is too long');
    return message;
  }
}

const NEW_TUPLE = 0x4e; // N

function relation(cursor: Cursor): PgoutputRelation {
  const oid = cursor.oid();
  const schema = cursor.string();
  const name = cursor.string();
  const identity = String.fromCharCode(cursor.byte());
  const count = cursor.int16();
  const columns: PgoutputColumn[] = [];
  for (let i = 0; i < count; i++) {
    const flags = cursor.byte();
    const columnName = cursor.string();
    columns.push({
      name: columnName,
      typeOid: cursor.oid(),
      typeModifier: cursor.int32(),
      key: (flags & 1) === 1,
    });
  }
  // An empty namespace stands for pg_catalog.
  return { kind: 'relation', oid, schema: schema === '' ? 'pg_catalog' : schema, name, identity, columns };
}

/**
 * Reads one pgoutput message. Throws `ProtocolError`. Of one that was `cut` behind these bytes the values that are not there whole are
 * {@link BEYOND}, and a tuple that is not there at all is empty.
 */
export function decodePgoutput(bytes: Buffer, cut = false): PgoutputMessage {
  const cursor = new Cursor(bytes, cut);
  const type = bytes[0];
  switch (type) {
    case 0x42: // B
      return cursor.done({
        kind: 'begin',
        commitLsn: cursor.int64(),
        committedAtMs: cursor.timeMs(),
        xid: cursor.oid(),
      });
    case 0x43: // C
      cursor.byte();
      return cursor.done({
        kind: 'commit',
        commitLsn: cursor.int64(),
        endLsn: cursor.int64(),
        committedAtMs: cursor.timeMs(),
      });
    case 0x52: // R
      return cursor.done(relation(cursor));
    case 0x49: {
      // I
      const relationOid = cursor.oid();
      cursor.expect(NEW_TUPLE);
      return cursor.done({ kind: 'insert', relationOid, after: cursor.tuple() });
    }
    case 0x55: {
      // U
      const relationOid = cursor.oid();
      const marker = cursor.byte();
      if (marker === NEW_TUPLE) {
        return cursor.done({
          kind: 'update',
          relationOid,
          beforeKind: undefined,
          before: undefined,
          after: cursor.tuple(),
        });
      }
      const beforeKind = cursor.beforeKind(marker);
      const before = cursor.tuple();
      cursor.expect(NEW_TUPLE);
      return cursor.done({ kind: 'update', relationOid, beforeKind, before, after: cursor.tuple() });
    }
    case 0x44: {
      // D
      const relationOid = cursor.oid();
      const beforeKind = cursor.beforeKind(cursor.byte());
      return cursor.done({ kind: 'delete', relationOid, beforeKind, before: cursor.tuple() });
    }
    case 0x54: {
      // T
      const count = cursor.int32();
      cursor.byte();
      const relationOids: number[] = [];
      for (let i = 0; i < count; i++) relationOids.push(cursor.oid());
      return cursor.done({ kind: 'truncate', relationOids });
    }
    case 0x59: // Y
      return cursor.done({ kind: 'type', oid: cursor.oid(), schema: cursor.string(), name: cursor.string() });
    case 0x4f: // O
    case 0x4d: // M
      return { kind: 'other', type: String.fromCharCode(type) };
    default:
      throw new ProtocolError(`pgoutput message of type ${type}`);
  }
}
