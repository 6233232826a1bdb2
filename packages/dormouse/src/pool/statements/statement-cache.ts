import type { FieldDescription } from '../../wire/index.ts';

/**
 * Prepared statements kept per connection. A plan costs the server 10 to 50 kB, so a full cache of 256 stays near 10 MB
 * in the worst case; an app has 50 to 200 shapes of query.
 */
export const STATEMENTS_MAX = 256;
/** Longer texts are mostly inserts of many rows that come once; keeping them gains nothing. */
const SQL_CHARS_MAX = 16_384;

/** A transaction-local set_config in its plain form, which ends by itself. */
const LOCAL_CONFIG = /set_config\(\s*(?:'[^']*'|\$\d+)\s*,\s*(?:'[^']*'|\$\d+)\s*,\s*true\s*\)/gi;
/**
 * SELECT can change the session too: by these functions, by those functions of Postgres that run SQL from a text, under
 * a name that is written with escapes, or by INTO TEMP. A role that only reads can use these ways; only the owner can
 * make functions that call them.
 */
const SESSION_FUNCTION =
  /advisory_lock|set_config|pg_settings|setseed|set_limit|isn_weak|dblink|_to_xml|ts_stat|ts_rewrite|\bU&"|(?<!["'.\w])(?:pg_temp|temp|temporary)(?!["'\w])/i;

/**
 * Whether the text may do something whose effect outlives the transaction. A yes too many is slow; a no too many is
 * wrong.
 */
export function callsSessionFunction(sql: string): boolean {
  return SESSION_FUNCTION.test(sql) && SESSION_FUNCTION.test(sql.replace(LOCAL_CONFIG, ''));
}

/** Statements that only read, unless a part of them writes. */
const READS = /^\s*(?:select|with|values|table|show|fetch|begin|start|commit|rollback|savepoint|release)\b/i;
const WRITES = /\b(?:insert|update|delete|merge|into)\b/i;

/** Whether the text may write rows, and so fire triggers. A yes too many costs a reset; a no too many is wrong. */
export function mayWrite(sql: string): boolean {
  return !READS.test(sql) || WRITES.test(sql);
}

/** Whether the text may change where unqualified names are looked up. */
export function movesSearchPath(sql: string): boolean {
  return /search_path/i.test(sql);
}

/** What one connection knows of one SQL text. */
export class CachedStatement {
  readonly sql: string;
  readonly types: readonly number[];
  /** The text may do something that outlives the transaction, whatever its command tag says. */
  readonly changesSession: boolean;
  readonly movesPath: boolean;
  readonly mayWrite: boolean;
  /**
   * Its name on the server, or '' before the second use: a statement that is used once is not worth the server's
   * memory.
   */
  name = '';
  /** The server has parsed it under this name and described its result. */
  ready = false;
  /** The time of its last use, in uses of the cache. */
  usedAt = 0;
  /** The columns of the result; empty if the statement gives no rows. */
  fields: readonly FieldDescription[] = [];

  constructor(sql: string, types: readonly number[]) {
    this.sql = sql;
    this.types = types;
    this.changesSession = callsSessionFunction(sql);
    this.movesPath = movesSearchPath(sql);
    this.mayWrite = mayWrite(sql);
  }
}

function sameTypes(left: readonly number[], right: readonly number[]): boolean {
  if (left.length !== right.length) return false;
  for (let i = 0; i < left.length; i++) if (left[i] !== right[i]) return false;
  return true;
}

/**
 * The prepared statements of one connection; the least recently used one is dropped first. Texts that were used once
 * wait apart for their second use: so the prepared statements stay, however many texts come that never come again (such
 * as texts with the number of a trace in them).
 */
export class StatementCache {
  readonly #max: number;
  readonly #bySql = new Map<string, CachedStatement>();
  /** The oldest entry comes first. */
  readonly #once = new Map<string, CachedStatement>();
  #dropped: string[] = [];
  #serial = 0;
  #uses = 0;

  constructor(max: number = STATEMENTS_MAX) {
    this.#max = max;
  }

  /** The number of prepared statements. */
  get size(): number {
    return this.#bySql.size;
  }

  /** The entry of a statement, which gets a name on its second use. */
  use(sql: string, types: readonly number[]): CachedStatement {
    const known = this.#bySql.get(sql);
    if (known !== undefined) {
      if (sameTypes(known.types, types)) {
        known.usedAt = ++this.#uses;
        return known;
      }
      this.drop(known);
    }
    const seen = this.#once.get(sql);
    if (seen !== undefined) {
      this.#once.delete(sql);
      if (sameTypes(seen.types, types)) return this.#keep(seen);
    }
    const entry = new CachedStatement(sql, types);
    if (sql.length > SQL_CHARS_MAX || this.#max === 0) return entry;
    this.#once.set(sql, entry);
    if (this.#once.size > this.#max) this.#once.delete(this.#once.keys().next().value as string);
    return entry;
  }

  #keep(entry: CachedStatement): CachedStatement {
    entry.name = `dormouse_${++this.#serial}`;
    entry.usedAt = ++this.#uses;
    this.#bySql.set(entry.sql, entry);
    if (this.#bySql.size > this.#max) this.#dropOldest();
    return entry;
  }

  /**
   * Looks at every entry. For a new statement in a full cache, that costs less than its Parse; moving an entry to the
   * end of the map on each use cost every statement a part of a rehash.
   */
  #dropOldest(): void {
    let oldest: CachedStatement | undefined;
    for (const entry of this.#bySql.values()) {
      if (oldest === undefined || entry.usedAt < oldest.usedAt) oldest = entry;
    }
    if (oldest !== undefined) this.drop(oldest);
  }

  /** Forgets a statement; the server is told with the next statement that is sent. */
  drop(entry: CachedStatement): void {
    if (this.#bySql.get(entry.sql) === entry) this.#bySql.delete(entry.sql);
    if (this.#once.get(entry.sql) === entry) this.#once.delete(entry.sql);
    if (entry.name !== '') this.#dropped.push(entry.name);
    entry.ready = false;
  }

  /** Forgets all statements; `onServer` says whether the server has forgotten them already (DISCARD ALL). */
  clear(onServer: 'gone' | 'kept'): void {
    for (const entry of this.#bySql.values()) {
      if (onServer === 'kept') this.#dropped.push(entry.name);
      entry.ready = false;
    }
    this.#bySql.clear();
    this.#once.clear();
    if (onServer === 'gone') this.#dropped = [];
  }

  /** The names to close with the next statement that is sent. */
  get dropped(): readonly string[] {
    return this.#dropped;
  }

  /** The names were sent. */
  forgetDropped(): void {
    if (this.#dropped.length > 0) this.#dropped = [];
  }
}
