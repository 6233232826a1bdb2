/**
 * Messages of the output plugin `test_decoding` (PostgreSQL's contrib/test_decoding): text, with one message per
 * change. The session sets `search_path = pg_catalog`, so that every type except the built-in ones is printed with its
 * schema. Pure: bytes in, values out.
 *
 * `table SCHEMA.NAME: INSERT: COLUMN[TYPE]:VALUE …`, `… UPDATE: old-key: … new-tuple: …`, `… DELETE: …`, `table A, B:
 * TRUNCATE: …`, `BEGIN XID`, `COMMIT XID (at TIME)`, `message: …`. Identifiers and types are quoted as in SQL. A value
 * is `null`, `unchanged-toast-datum`, a number, `true`, `B'…'`, or quoted text, in which quotes are doubled and nothing
 * else is escaped.
 */
import { ProtocolError } from '../bytes/index.ts';

/** A value that lies behind the end of a message that was cut off. */
export const BEYOND: unique symbol = Symbol('beyond the cut');
/** One column's value: text, NULL, or undefined where the server left out an unchanged TOASTed value. */
export type TupleValue = string | null | undefined | typeof BEYOND;

export interface DecodedTable {
  readonly schema: string;
  readonly name: string;
}
export interface DecodedColumn {
  readonly name: string;
  /** The type as `format_type` names it: `integer`, `public.mood[]`. */
  readonly type: string;
}
/**
 * The columns that were printed. An old row has no columns that are NULL, nor, unless the whole row is printed, columns
 * outside the key.
 */
export interface DecodedTuple {
  /** The same object for successive tuples of one form. */
  readonly columns: readonly DecodedColumn[];
  readonly values: readonly TupleValue[];
}

export interface DecodedBegin {
  readonly kind: 'begin';
  readonly xid: number;
}
export interface DecodedCommit {
  readonly kind: 'commit';
  readonly xid: number;
  /** Milliseconds since 1970. */
  readonly committedAtMs: number;
}
export interface DecodedChange {
  readonly kind: 'change';
  readonly operation: 'insert' | 'update' | 'delete';
  /** The same object for successive changes of one table. */
  readonly table: DecodedTable;
  readonly before: DecodedTuple | undefined;
  readonly after: DecodedTuple | undefined;
  /**
   * The message was cut off: columns may be missing at the end of the last tuple, and so may a whole tuple after it.
   */
  readonly cut: boolean;
}
export interface DecodedTruncate {
  readonly kind: 'truncate';
  readonly tables: readonly DecodedTable[];
}
/** A message that events do not need: logical messages. */
export interface DecodedOther {
  readonly kind: 'other';
}
export type DecodedMessage = DecodedBegin | DecodedCommit | DecodedChange | DecodedTruncate | DecodedOther;

const QUOTE = 0x27;
const DOUBLE_QUOTE = 0x22;
const SPACE = 0x20;
const DOT = 0x2e;
const COLON = 0x3a;
const COMMA = 0x2c;
const OPEN = 0x5b;
const CLOSE = 0x5d;
const PARENTHESIS = 0x28;
const BIT = 0x42;

const BEGIN = Buffer.from('BEGIN ');
const COMMIT = Buffer.from('COMMIT ');
const TABLE = Buffer.from('table ');
const MESSAGE = Buffer.from('message: ');
const INSERT = Buffer.from(': INSERT:');
const UPDATE = Buffer.from(': UPDATE:');
const DELETE = Buffer.from(': DELETE:');
const TRUNCATE = Buffer.from(': TRUNCATE:');
const OLD_KEY = Buffer.from(' old-key:');
const NEW_TUPLE = Buffer.from(' new-tuple:');

/** Tables whose forms are remembered, so that a form is recognised by comparing bytes. */
const FORMS_MAX = 2000;

/** The form of a tuple: the bytes before each value. */
interface Form {
  readonly columns: DecodedColumn[];
  readonly prefixes: Buffer[];
}
interface KnownTable {
  readonly table: DecodedTable;
  before: Form | undefined;
  after: Form | undefined;
}

function startsWith(bytes: Buffer, at: number, what: Buffer): boolean {
  return at + what.length <= bytes.length && bytes.compare(what, 0, what.length, at, at + what.length) === 0;
}

/** Reads the messages of one stream. */
export class TestDecodingReader {
  readonly #known = new Map<string, KnownTable>();
  #bytes: Buffer = Buffer.alloc(0);
  #at = 0;
  #cut = false;

  /**
   * Reads one message. In a message that was `cut` off after these bytes, values that are not whole are {@link BEYOND}.
   * Throws `ProtocolError`.
   */
  decode(bytes: Buffer, cut = false): DecodedMessage {
    this.#bytes = bytes;
    this.#cut = cut;
    this.#at = 0;
    if (startsWith(bytes, 0, TABLE)) return this.#change();
    if (startsWith(bytes, 0, BEGIN)) {
      return { kind: 'begin', xid: xidOf(bytes.toString('latin1', BEGIN.length)) };
    }
    if (startsWith(bytes, 0, COMMIT)) return commit(bytes.toString('latin1', COMMIT.length));
    if (startsWith(bytes, 0, MESSAGE)) return { kind: 'other' };
    throw new ProtocolError('a message that test_decoding does not write');
  }

  #change(): DecodedMessage {
    const start = TABLE.length;
    this.#at = start;
    this.#identifier();
    this.#expect(DOT);
    this.#identifier();
    if (this.#bytes[this.#at] === COMMA || this.#startsWith(TRUNCATE)) return this.#truncate(start);
    const known = this.#table(start, this.#at);
    const { table } = known;
    const cut = this.#cut;
    const kind = 'change';
    if (this.#takes(INSERT)) {
      const after = this.#tuple(known, 'after');
      return this.#done({ kind, operation: 'insert', table, before: undefined, after, cut });
    }
    if (this.#takes(DELETE)) {
      const before = this.#tuple(known, 'before');
      return this.#done({ kind, operation: 'delete', table, before, after: undefined, cut });
    }
    if (!this.#takes(UPDATE)) throw new ProtocolError('a change of no known kind');
    if (!this.#takes(OLD_KEY)) {
      const after = this.#tuple(known, 'after');
      return this.#done({ kind, operation: 'update', table, before: undefined, after, cut });
    }
    const before = this.#tuple(known, 'before');
    if (this.#ended && cut) return { kind, operation: 'update', table, before, after: undefined, cut };
    if (!this.#takes(NEW_TUPLE)) throw new ProtocolError('an old row without a new one');
    const after = this.#tuple(known, 'after');
    return this.#done({ kind, operation: 'update', table, before, after, cut });
  }

  #truncate(start: number): DecodedTruncate {
    this.#at = start;
    const tables: DecodedTable[] = [];
    for (;;) {
      const from = this.#at;
      this.#identifier();
      this.#expect(DOT);
      this.#identifier();
      tables.push(this.#table(from, this.#at).table);
      if (this.#bytes[this.#at] !== COMMA) break;
      this.#at += 2;
    }
    if (!this.#takes(TRUNCATE)) throw new ProtocolError('a list of tables that are not truncated');
    return { kind: 'truncate', tables };
  }

  /** The table whose qualified name stands between two places of the message. */
  #table(from: number, to: number): KnownTable {
    const text = this.#bytes.toString('utf8', from, to);
    let known = this.#known.get(text);
    if (known === undefined) {
      if (this.#known.size >= FORMS_MAX) this.#known.clear();
      this.#at = from;
      const schema = this.#identifier();
      this.#expect(DOT);
      const table = { schema, name: this.#identifier() };
      known = { table, before: undefined, after: undefined };
      this.#known.set(text, known);
    }
    return known;
  }

  /** Reads a tuple; undefined where the message has no tuple data. */
  #tuple(known: KnownTable, which: 'before' | 'after'): DecodedTuple | undefined {
    const bytes = this.#bytes;
    if (bytes[this.#at] === SPACE && bytes[this.#at + 1] === PARENTHESIS) {
      this.#at = bytes.length;
      return undefined;
    }
    const form = known[which];
    const columns: DecodedColumn[] = [];
    const prefixes: Buffer[] = [];
    const values: TupleValue[] = [];
    // Whether the tuple has the form of the last one, as far as it was read.
    let same = form !== undefined;
    while (!this.#ended && !this.#startsWith(NEW_TUPLE)) {
      // Too few bytes are left to tell a column from the beginning of the next tuple.
      if (this.#cut && bytes.length - this.#at < NEW_TUPLE.length) {
        this.#at = bytes.length;
        break;
      }
      const index = values.length;
      const prefix = form?.prefixes[index];
      if (same && prefix !== undefined && this.#takes(prefix)) {
        values.push(this.#value((form as Form).columns[index] as DecodedColumn));
        continue;
      }
      if (same) {
        same = false;
        columns.push(...(form?.columns.slice(0, index) ?? []));
        prefixes.push(...(form?.prefixes.slice(0, index) ?? []));
      }
      const start = this.#at;
      const column = this.#column();
      if (column === undefined) break;
      columns.push(column);
      // A copy, since the chunk is large.
      prefixes.push(Buffer.from(bytes.subarray(start, this.#at)));
      values.push(this.#value(column));
    }
    if (same && form !== undefined && (values.length === form.columns.length || this.#cut)) {
      return {
        columns: values.length === form.columns.length ? form.columns : form.columns.slice(0, values.length),
        values,
      };
    }
    if (same) {
      columns.push(...(form?.columns.slice(0, values.length) ?? []));
      prefixes.push(...(form?.prefixes.slice(0, values.length) ?? []));
    }
    if (!this.#cut) known[which] = { columns, prefixes };
    return { columns, values };
  }

  /** Reads ` NAME[TYPE]:`; undefined where the message was cut off inside it. */
  #column(): DecodedColumn | undefined {
    const bytes = this.#bytes;
    const start = this.#at;
    try {
      this.#expect(SPACE);
      const name = this.#identifier();
      this.#expect(OPEN);
      const from = this.#at;
      // A type may be an array, and may be quoted.
      for (let depth = 0; ; this.#at++) {
        const byte = bytes[this.#at];
        if (byte === undefined) throw new ProtocolError('a type without an end');
        if (byte === DOUBLE_QUOTE) this.#skipQuoted(DOUBLE_QUOTE);
        else if (byte === OPEN) depth += 1;
        else if (byte === CLOSE) {
          if (depth === 0) break;
          depth -= 1;
        }
      }
      const type = bytes.toString('utf8', from, this.#at);
      this.#at += 1;
      this.#expect(COLON);
      return { name, type };
    } catch (error) {
      if (!this.#cut || !this.#ended) throw error;
      this.#at = Math.max(start, bytes.length);
      return undefined;
    }
  }

  #value({ type }: DecodedColumn): TupleValue {
    const bytes = this.#bytes;
    const start = this.#at;
    const first = bytes[start];
    if (first === QUOTE || (first === BIT && bytes[start + 1] === QUOTE)) {
      const from = first === QUOTE ? start + 1 : start + 2;
      return this.#quoted(from);
    }
    let end = bytes.indexOf(SPACE, start);
    if (end < 0) {
      end = bytes.length;
      if (this.#cut) {
        this.#at = end;
        return BEYOND;
      }
    }
    if (end === start) throw new ProtocolError('a column without a value');
    this.#at = end;
    const text = bytes.toString('latin1', start, end);
    if (text === 'null') return null;
    if (text === 'unchanged-toast-datum') return undefined;
    if (type === 'boolean') return text === 'true' ? 't' : 'f';
    return text;
  }

  /** Reads the text after an opening quote; quotes inside it are doubled. */
  #quoted(from: number): TupleValue {
    const bytes = this.#bytes;
    const parts: Buffer[] = [];
    let start = from;
    for (;;) {
      const end = bytes.indexOf(QUOTE, start);
      // A quote at the end of the cut message may be the first of two.
      if (end < 0 || (this.#cut && end === bytes.length - 1)) {
        if (!this.#cut) throw new ProtocolError('a value without an end');
        this.#at = bytes.length;
        return BEYOND;
      }
      if (bytes[end + 1] !== QUOTE) {
        this.#at = end + 1;
        if (parts.length === 0) return bytes.toString('utf8', start, end);
        parts.push(bytes.subarray(start, end));
        return Buffer.concat(parts).toString('utf8');
      }
      parts.push(bytes.subarray(start, end + 1));
      start = end + 2;
    }
  }

  #identifier(): string {
    const bytes = this.#bytes;
    const start = this.#at;
    if (bytes[start] === DOUBLE_QUOTE) {
      this.#skipQuoted(DOUBLE_QUOTE);
      this.#at += 1;
      return bytes.toString('utf8', start + 1, this.#at - 1).replaceAll('""', '"');
    }
    while (isWord(bytes[this.#at])) this.#at += 1;
    if (this.#at === start) throw new ProtocolError('an identifier was expected');
    return bytes.toString('latin1', start, this.#at);
  }

  /** Moves from an opening quote to its closing one. */
  #skipQuoted(quote: number): void {
    let end = this.#bytes.indexOf(quote, this.#at + 1);
    while (end >= 0 && this.#bytes[end + 1] === quote) end = this.#bytes.indexOf(quote, end + 2);
    if (end < 0) {
      this.#at = this.#bytes.length;
      throw new ProtocolError('an identifier without an end');
    }
    this.#at = end;
  }

  get #ended(): boolean {
    return this.#at >= this.#bytes.length;
  }
  #startsWith(what: Buffer): boolean {
    return startsWith(this.#bytes, this.#at, what);
  }
  #takes(what: Buffer): boolean {
    if (!this.#startsWith(what)) return false;
    this.#at += what.length;
    return true;
  }
  #expect(byte: number): void {
    if (this.#bytes[this.#at] !== byte) throw new ProtocolError(`byte ${byte} was expected at ${this.#at}`);
    this.#at += 1;
  }
  #done<T>(message: T): T {
    if (!this.#ended) throw new ProtocolError('a change is too long');
    return message;
  }
}

/**
 * Whether a byte may stand in an identifier without quotes: a letter in lower case, a digit, the underscore, and the
 * dollar sign, which is never first.
 */
function isWord(byte: number | undefined): boolean {
  return (
    byte !== undefined &&
    ((byte >= 0x61 && byte <= 0x7a) || (byte >= 0x30 && byte <= 0x39) || byte === 0x5f || byte === 0x24)
  );
}

function xidOf(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new ProtocolError('a transaction without an id');
  return Number(text);
}

const COMMITTED = /^(\d{1,10}) \(at (\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?)\+00\)$/;

function commit(text: string): DecodedCommit {
  const match = COMMITTED.exec(text);
  const committedAtMs = Date.parse(`${match?.[2]}T${match?.[3]}Z`);
  if (match === null || Number.isNaN(committedAtMs)) throw new ProtocolError('a commit without its time');
  return { kind: 'commit', xid: xidOf(match[1] as string), committedAtMs };
}
