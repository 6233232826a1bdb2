import { DormouseError } from '../../base/index.ts';
import type { EventLog, TableName } from '../log/index.ts';
import { tableText } from './table-name.ts';

/** A table, or a relation that may be taken for one, as the catalog has it. */
export interface CatalogEntry extends TableName {
  /** `pg_class.relkind`; `u` for an unlogged table. */
  readonly kind: string;
}

/** Names that are noted. Of a database with more tables some names are not known, so no name is refused there. */
const NAMES_MAX = 10_000;
/** Names that are remembered to have events in the log. */
const PRESENT_MAX = 1000;
/** Names that the message of a refusal lists. */
const SHOWN_MAX = 20;

/** Every name and operator is qualified: no object of a tenant is called or resolved. */
export const CATALOG_SQL: string = `
  SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(t.nspname, t.relname, t.kind)), '[]')
  FROM (
    SELECT n.nspname, c.relname, CASE WHEN c.relpersistence OPERATOR(pg_catalog.=) 'u' THEN 'u' ELSE c.relkind::pg_catalog.text END AS kind
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}'::pg_catalog."char"[]) AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
      AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
    ORDER BY n.nspname, c.relname LIMIT ${NAMES_MAX + 1}) t`;

/** Reads the answer to {@link CATALOG_SQL}; undefined for any other text. */
export function readCatalog(text: string): CatalogEntry[] | undefined {
  const list = JSON.parse(text) as unknown;
  if (!Array.isArray(list)) return undefined;
  return (list as [string, string, string][]).map(([schema, name, kind]) => ({ schema, name, kind }));
}

/** Why relations of a kind have no events. */
const WITHOUT_EVENTS: Readonly<Record<string, string>> = {
  v: 'is a view, which has no events: subscribe to the tables that it reads',
  m: 'is a materialized view, which has no events: subscribe to the tables that it reads',
  f: 'is a foreign table, whose rows are written elsewhere: it has no events here',
  u: 'is an unlogged table, whose changes are in no write-ahead log: it has no events. ALTER TABLE … SET LOGGED gives it some',
};

export interface TableCatalogOptions {
  readonly log: EventLog;
  /** Asks the server, if it runs; undefined if it does not run or does not answer. Does not wake the server. */
  readonly ask: () => Promise<Entries>;
  /** The tables that were noted when the server went to rest; undefined if they may have changed after that. */
  readonly noted: () => Promise<Entries>;
}

type Entries = readonly CatalogEntry[] | undefined;

/**
 * Tells whether a requested stream can ever have an event: its table exists, or has left events.
 */
export class TableCatalog {
  readonly #options: TableCatalogOptions;
  /** Tables that are known to have left events: the log never forgets them. */
  readonly #present = new Set<string>();
  /**
   * The question that is under way, and the next one, which is shared by all callers that came after the first was
   * sent.
   */
  #asking: Promise<Entries> | undefined;
  #next: Promise<Entries> | undefined;

  constructor(options: TableCatalogOptions) {
    this.#options = options;
  }

  /** Fails with `stream_unknown`. Where the tables are not known, every name passes. */
  async check(table: TableName): Promise<void> {
    const key = tableText(table);
    if (this.#present.has(key)) return;
    if (await this.#options.log.hasTable(table)) {
      if (this.#present.size >= PRESENT_MAX) this.#present.clear();
      this.#present.add(key);
      return;
    }
    const entries = (await this.#ask()) ?? (await this.#options.noted());
    if (entries === undefined || entries.length > NAMES_MAX) return;
    const found = entries.find((entry) => isSame(entry, table));
    if (found === undefined) throw unknown(table, entries);
    const why = WITHOUT_EVENTS[found.kind];
    if (why !== undefined) throw new DormouseError('stream_unknown', { message: `${tableText(table)} ${why}.` });
  }

  /** Asks one question at a time. No caller gets an answer from before its call: the table may have been made since. */
  #ask(): Promise<Entries> {
    if (this.#asking !== undefined) {
      this.#next ??= this.#asking.then(() => {
        this.#next = undefined;
        return this.#ask();
      });
      return this.#next;
    }
    this.#asking = this.#options.ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }
}

function isSame(a: TableName, b: TableName): boolean {
  return a.schema === b.schema && a.name === b.name;
}

function unknown(table: TableName, entries: readonly CatalogEntry[]): DormouseError {
  const tables = entries.filter(({ kind }) => WITHOUT_EVENTS[kind] === undefined);
  const near = tables.filter(({ name }) => name.toLowerCase() === table.name.toLowerCase());
  const shown = (near.length > 0 ? near : tables).slice(0, SHOWN_MAX).map(tableText);
  const more = near.length === 0 && tables.length > SHOWN_MAX ? `, and ${tables.length - SHOWN_MAX} more` : '';
  const there =
    near.length > 0
      ? `Did you mean ${shown.join(' or ')}? Names are as the database has them, case included.`
      : tables.length === 0
        ? 'It has no tables yet.'
        : `Its tables are ${shown.join(', ')}${more}.`;
  return new DormouseError('stream_unknown', {
    message: `There is no table ${tableText(table)} in this database, and it has left no events. ${there}`,
  });
}
