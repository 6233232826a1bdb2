import type { DecodedColumn, TupleValue } from '../../wire/index.ts';
import { BEYOND } from '../../wire/index.ts';
import {
  type AppendBatch,
  type ColumnDefinition,
  type NewEvent,
  type NewTransaction,
  OMITTED,
  type RelationDefinition,
  type Row,
  type TableFacts,
  type TableName,
  UNKNOWN,
} from '../log/index.ts';
import type { AssembledChange, Assembly, Shape } from './assembler.ts';
import type { CatalogTable } from './catalog-lookup.ts';
import { typeOf } from './type-names.ts';

/**
 * A table is looked up again after this long: a transaction that also writes rows may have changed the table's key, and
 * nothing in the stream would say so.
 */
const LOOKUP_AGE_MS = 10_000;
/** Schemas of Postgres's own tables. */
const SYSTEM_SCHEMAS: readonly string[] = ['pg_catalog', 'information_schema'];

/** Looks up tables in the catalog, once the transactions `xids` are visible there. */
export type LookUpTables = (tables: readonly TableName[], xids: readonly number[]) => Promise<readonly CatalogTable[]>;

interface Known {
  /** Undefined: there is no such table now. */
  readonly entry: CatalogTable | undefined;
  readonly generation: number;
  readonly lookedUpAtMs: number;
  /** The columns that its rows were printed with when it was looked up. */
  readonly shape: Shape | undefined;
}
interface Form {
  readonly entry: CatalogTable | undefined;
  readonly definition: RelationDefinition;
  /** For each column of the definition, its place in the shape; -1 for one that was not printed. */
  readonly places: readonly number[];
}

const keyOf = ({ schema, name }: TableName): string => JSON.stringify([schema, name]);

/** The columns of a shape that have a value in a row. */
function printedIn(shape: Shape, row: readonly TupleValue[]): string[] {
  return shape.columns.flatMap(({ name }, i) => (row[i] === undefined ? [] : [name]));
}

/**
 * Completes printed changes from the catalog: keys, virtual columns (which are printed as NULL), old rows that are
 * whole, and the tables that a table is a part of. A table is looked up before its first change is stored, and again
 * whenever it may have changed.
 */
export class CapturedTables {
  readonly #lookUpTables: LookUpTables;
  readonly #nowMs: () => number;
  readonly #known = new Map<string, Known>();
  readonly #recorded: Map<string, TableFacts>;
  readonly #forms = new WeakMap<Shape, Form>();
  #generation = 0;

  /** `recorded`: what the log knows of tables. */
  constructor(recorded: readonly TableFacts[], lookUp: LookUpTables, nowMs: () => number) {
    this.#recorded = new Map(recorded.map((facts) => [keyOf(facts), facts]));
    this.#lookUpTables = lookUp;
    this.#nowMs = nowMs;
  }

  /** The batch for the log; `openAtMs` dates a transaction whose commit is not read yet. Fails as the lookup does. */
  async complete(assembly: Assembly, openAtMs: number): Promise<AppendBatch> {
    if (assembly.tablesChanged) this.#generation += 1;
    const wanted = new Map<string, { table: TableName; shape: Shape | undefined }>();
    for (const { changes } of assembly.transactions) {
      for (const change of changes) {
        const { shape } = change;
        if (SYSTEM_SCHEMAS.includes(shape.table.schema)) continue;
        const key = keyOf(shape.table);
        if (!wanted.has(key) && this.#isStale(key, change)) {
          wanted.set(key, { table: shape.table, shape: shape.partial ? undefined : shape });
        }
      }
    }
    // A table without a key may have got one: from then on its earlier rows are read with that key.
    if (assembly.tablesChanged) {
      for (const [key, facts] of this.#recorded) {
        if (facts.key === null && !wanted.has(key)) wanted.set(key, { table: facts, shape: undefined });
      }
    }
    if (wanted.size > 0) await this.#lookUp(wanted, assembly.xids);
    const tables = this.#unrecorded(wanted.keys());
    return { ...this.#batch(assembly, openAtMs), ...(tables.length === 0 ? {} : { tables }) };
  }

  #isStale(key: string, { shape, before, cut }: AssembledChange): boolean {
    const known = this.#known.get(key);
    if (known === undefined || known.generation !== this.#generation) return true;
    if (this.#nowMs() - known.lookedUpAtMs > LOOKUP_AGE_MS) return true;
    if (!shape.partial && known.shape !== shape) return true;
    const { entry } = known;
    if (before === undefined || entry === undefined || entry.identity === 'f' || cut) return false;
    // True if the server printed a key other than the one that the catalog named.
    const printed = printedIn(shape, before);
    return printed.length !== entry.key?.length || printed.some((name) => entry.key?.includes(name) !== true);
  }

  async #lookUp(
    wanted: ReadonlyMap<string, { readonly table: TableName; readonly shape: Shape | undefined }>,
    xids: readonly number[],
  ): Promise<void> {
    const lookedUpAtMs = this.#nowMs();
    const entries = await this.#lookUpTables(
      [...wanted.values()].map(({ table }) => table),
      xids,
    );
    const found = new Map(entries.map((entry) => [keyOf(entry), entry]));
    for (const [key, { shape }] of wanted) {
      this.#known.set(key, { entry: found.get(key), generation: this.#generation, lookedUpAtMs, shape });
    }
  }

  /** Facts of the tables that were just looked up, where the log does not have them yet. */
  #unrecorded(keys: Iterable<string>): TableFacts[] {
    const news: TableFacts[] = [];
    for (const key of keys) {
      const entry = this.#known.get(key)?.entry;
      if (entry === undefined || entry.kind !== 'r') continue;
      const { schema, name, ancestors, partition } = entry;
      const part = partition === undefined ? {} : { partition };
      const facts: TableFacts = { schema, name, key: this.#recorded.get(key)?.key ?? entry.key, ancestors, ...part };
      if (JSON.stringify(facts) === JSON.stringify(this.#recorded.get(key))) continue;
      this.#recorded.set(key, facts);
      news.push(facts);
    }
    return news;
  }

  /** Numbers the relations, so that a batch carries only the relations of its events. */
  #batch({ transactions, endLsn }: Assembly, openAtMs: number): AppendBatch {
    const relations: RelationDefinition[] = [];
    const indexes = new Map<RelationDefinition, number>();
    const eventOf = (change: AssembledChange): NewEvent => {
      const form = this.#formOf(change);
      let relation = indexes.get(form.definition);
      if (relation === undefined) {
        relation = relations.push(form.definition) - 1;
        indexes.set(form.definition, relation);
      }
      return { relation, operation: change.operation, ...rowsOf(change, form) };
    };
    return {
      relations,
      transactions: transactions.map(({ lsn, xid, committedAtMs, firstIndex, changes }): NewTransaction => {
        const events = changes.filter(({ shape }) => this.#isTable(shape.table)).map(eventOf);
        return { lsn, xid, committedAtMs: committedAtMs ?? openAtMs, firstIndex, events };
      }),
      endLsn,
    };
  }

  /** False for materialized views, whose refresh is a change of rows too. */
  #isTable(table: TableName): boolean {
    return !SYSTEM_SCHEMAS.includes(table.schema) && this.#known.get(keyOf(table))?.entry?.kind !== 'm';
  }

  #formOf({ shape, operation, before }: AssembledChange): Form {
    const key = keyOf(shape.table);
    const entry = this.#known.get(key)?.entry;
    const names = (entry === undefined ? this.#recorded.get(key)?.key : entry.key) ?? [];
    if (operation === 'delete' && before !== undefined) {
      // The printed part of an old row is the key of that time, if the catalog's key of now is not in it.
      const printed = printedIn(shape, before);
      if (printed.length > 0 && !names.every((name) => printed.includes(name))) return formOf(shape, entry, printed);
    }
    let form = this.#forms.get(shape);
    if (form === undefined || form.entry !== entry) {
      form = formOf(shape, entry, names);
      this.#forms.set(shape, form);
    }
    return form;
  }
}

function formOf(shape: Shape, entry: CatalogTable | undefined, key: readonly string[]): Form {
  const virtual = new Set(entry?.columns.filter((column) => column.virtual).map(({ name }) => name));
  let printed: readonly DecodedColumn[] = shape.columns;
  // Columns that were not printed are taken from the catalog, if the table still has all that were printed.
  if (shape.partial && entry !== undefined && printed.every(({ name, type }) => has(entry, name, type))) {
    printed = entry.columns;
  }
  const columns = printed.filter(({ name }) => !virtual.has(name));
  const whole = key.every((name) => columns.some((column) => column.name === name));
  const definition: RelationDefinition = {
    schema: shape.table.schema,
    name: shape.table.name,
    columns: columns.map(
      ({ name, type }): ColumnDefinition => ({ name, ...typeOf(type), key: whole && key.includes(name) }),
    ),
  };
  const places = columns.map(({ name }) => shape.columns.findIndex((column) => column.name === name));
  return { entry, definition, places };
}

function has(entry: CatalogTable, name: string, type: string): boolean {
  return entry.columns.some((column) => column.name === name && column.type === type);
}

function rowsOf(
  { operation, before, after, cut }: AssembledChange,
  { places, entry }: Form,
): { readonly before: Row | undefined; readonly after: Row | undefined } {
  if (operation === 'truncate') return { before: undefined, after: undefined };
  /** A value that was not printed is NULL if the old row was printed whole, else it is not known. */
  const whole = before !== undefined && entry?.identity === 'f';
  const at = (row: readonly TupleValue[], place: number, last: boolean): TupleValue => {
    if (place < 0 || place >= row.length) return cut && last ? BEYOND : undefined;
    return row[place];
  };
  const old = (place: number): Row[number] => {
    const value = at(before as readonly TupleValue[], place, after === undefined);
    if (value === BEYOND) return OMITTED;
    return value === undefined ? (whole ? null : UNKNOWN) : value;
  };
  const now = (place: number): Row[number] => {
    const value = at(after as readonly TupleValue[], place, true);
    if (value === BEYOND) return OMITTED;
    if (value !== undefined) return value;
    // An unchanged TOASTed value is known with the old row at hand.
    const same = before?.[place];
    return typeof same === 'string' ? same : UNKNOWN;
  };
  // A delete that names no row is still a delete.
  const oldRow =
    before !== undefined
      ? places.map(old)
      : operation === 'delete'
        ? places.map((): Row[number] => UNKNOWN)
        : undefined;
  const newRow =
    operation === 'delete' ? undefined : after !== undefined ? places.map(now) : places.map((): Row[number] => OMITTED);
  return { before: oldRow, after: newRow };
}
