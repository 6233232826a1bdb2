import { DormouseError } from '../../base/index.ts';
import type { EventLog, TableName } from '../log/index.ts';
import { tableText } from './table-name.ts';

/** A table, or what may be taken for one, as the catalog has it. */
export interface CatalogEntry extends TableName {
  /** `pg_class.relkind`; `u` for an unlogged table. */
  readonly kind: string;
}

/** Names that are noted: of more than that some are not known, and none is refused. */
const NAMES_MAX = 10_000;
/** Names that are remembered to be in the log. */
const PRESENT_MAX = 1000;
/** Names that a refusal shows. */
const SHOWN_MAX = 20;

/** Everything is qualified, and comparisons are Postgres's own: nothing of a tenant's is called or resolved. */
export const CATALOG_SQL: string = `
  SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_array(t.nspname, t.relname, t.kind)), '[]')
  FROM (
    SELECT n.nspname, c.relname, CASE WHEN c.relpersistence OPERATOR(pg_catalog.=) 'u' THEN 'u' ELSE c.relkind::pg_catalog.text END AS kind
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid OPERATOR(pg_catalog.=) c.relnamespace
    WHERE c.relkind OPERATOR(pg_catalog.=) ANY ('{r,p,v,m,f}'::pg_catalog."char"[]) AND c.relpersistence OPERATOR(pg_catalog.<>) 't'
      AND c.oid OPERATOR(pg_catalog.>=) 16384::pg_catalog.oid
    ORDER BY n.nspname, c.relname LIMIT ${NAMES_MAX + 1}) t`;

/** Reads what {@link CATALOG_SQL} gives; undefined if it is something else. */
export function readCatalog(text: string): CatalogEntry[] | undefined {
  const list = JSON.parse(text) as unknown;
  if (!Array.isArray(list)) return undefined;
  return (list as [string, string, string][]).map(([schema, name, kind]) => ({ schema, name, kind }));
}

/** What keeps a relation out of the write-ahead log's changes of rows, by its kind. */
const WITHOUT_EVENTS: Readonly<Record<string, string>> = {
  v: 'is a view, which has no events: subscribe to the tables that it reads',
  m: 'is a materialized view, which has no events: subscribe to the tables that it reads',
  f: 'is a foreign table, whose rows are written elsewhere: it has no events here',
  u: 'is an unlogged table, whose changes are in no write-ahead log: it has no events. ALTER TABLE … SET LOGGED gives it some',
};

export interface TableCatalogOptions {
  readonly log: EventLog;
  /** Asks the server if it runs; undefined if it does not, or does not answer. Wakes nobody. */
  readonly ask: () => Promise<Entries>;
  /** What was noted when the server went to rest; undefined if it may have had other tables after that. */
  readonly noted: () => Promise<Entries>;
}

type Entries = readonly CatalogEntry[] | undefined;

/**
 * Whether a stream that somebody asks for can ever have an event: of a table that is there, or that has left events.
 */
export class TableCatalog {
  readonly #options: TableCatalogOptions;
  /** Tables that are known to have left events, which the log never forgets. */
  readonly #present = new Set<string>();
  /** The question that is on its way, and the one behind it, which all share who came since that went out. */
  #asking: Promise<Entries> | undefined;
  #next: Promise<Entries> | undefined;

  constructor(options: TableCatalogOptions) {
    this.#options = options;
  }

  /** Fails with `stream_unknown`. Where it is not known what tables there are, every name passes. */
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

  /** One question at a time, and never an answer from before it was wanted: the table may have been made in between. */
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
