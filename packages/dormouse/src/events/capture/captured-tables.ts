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
import type { TableLook } from './table-looks.ts';
import { typeOf } from './type-names.ts';

/**
 * What the catalog said of a table is asked again after this: a key may be changed in a transaction that writes rows
 * too.
 */
const LOOK_AGE_MS = 10_000;
/** Schemas whose tables are Postgres's own. */
const SYSTEM_SCHEMAS: readonly string[] = ['pg_catalog', 'information_schema'];

/** Asks the catalog of tables, as they are once the transactions `xids` are to be seen. */
export type LookAtTables = (tables: readonly TableName[], xids: readonly number[]) => Promise<readonly TableLook[]>;

interface Known {
  /** Undefined: no such table is there now. */
  readonly look: TableLook | undefined;
  readonly generation: number;
  readonly lookedAtMs: number;
  /** The form that its rows had then. */
  readonly shape: Shape | undefined;
}
interface Form {
  readonly look: TableLook | undefined;
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
 * Completes what was printed by what the catalog says: keys, virtual columns (printed as NULL), whole old rows, and
 * what a table is a part of. A table is looked at before its first change is stored, and again when it may be another.
 */
export class CapturedTables {
  readonly #look: LookAtTables;
  readonly #nowMs: () => number;
  readonly #known = new Map<string, Known>();
  readonly #recorded: Map<string, TableFacts>;
  readonly #forms = new WeakMap<Shape, Form>();
  #generation = 0;

  /** `recorded`: what the log knows. */
  constructor(recorded: readonly TableFacts[], look: LookAtTables, nowMs: () => number) {
    this.#recorded = new Map(recorded.map((facts) => [keyOf(facts), facts]));
    this.#look = look;
    this.#nowMs = nowMs;
  }

  /** The batch for the log; `openAtMs` dates a transaction whose commit is not read yet. Fails as the look does. */
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
    // One without a key may have got it: its rows are read with it from then on.
    if (assembly.tablesChanged) {
      for (const [key, facts] of this.#recorded) {
        if (facts.key === null && !wanted.has(key)) wanted.set(key, { table: facts, shape: undefined });
      }
    }
    if (wanted.size > 0) await this.#lookAt(wanted, assembly.xids);
    const tables = this.#news(wanted.keys());
    return { ...this.#batch(assembly, openAtMs), ...(tables.length === 0 ? {} : { tables }) };
  }

  #isStale(key: string, { shape, before, cut }: AssembledChange): boolean {
    const known = this.#known.get(key);
    if (known === undefined || known.generation !== this.#generation) return true;
    if (this.#nowMs() - known.lookedAtMs > LOOK_AGE_MS) return true;
    if (!shape.partial && known.shape !== shape) return true;
    const { look } = known;
    if (before === undefined || look === undefined || look.identity === 'f' || cut) return false;
    // The server printed another key than the catalog named.
    const printed = printedIn(shape, before);
    return printed.length !== look.key?.length || printed.some((name) => look.key?.includes(name) !== true);
  }

  async #lookAt(
    wanted: ReadonlyMap<string, { readonly table: TableName; readonly shape: Shape | undefined }>,
    xids: readonly number[],
  ): Promise<void> {
    const lookedAtMs = this.#nowMs();
    const looks = await this.#look(
      [...wanted.values()].map(({ table }) => table),
      xids,
    );
    const found = new Map(looks.map((look) => [keyOf(look), look]));
    for (const [key, { shape }] of wanted) {
      this.#known.set(key, { look: found.get(key), generation: this.#generation, lookedAtMs, shape });
    }
  }

  /** What the log does not know yet of tables that were just looked at. */
  #news(keys: Iterable<string>): TableFacts[] {
    const news: TableFacts[] = [];
    for (const key of keys) {
      const look = this.#known.get(key)?.look;
      if (look === undefined || look.kind !== 'r') continue;
      const { schema, name, ancestors, partition } = look;
      const part = partition === undefined ? {} : { partition };
      const facts: TableFacts = { schema, name, key: this.#recorded.get(key)?.key ?? look.key, ancestors, ...part };
      if (JSON.stringify(facts) === JSON.stringify(this.#recorded.get(key))) continue;
      this.#recorded.set(key, facts);
      news.push(facts);
    }
    return news;
  }

  /** Numbers the relations, so that a batch carries only those it needs. */
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

  /** Materialized views are refreshed by changes of rows, too. */
  #isTable(table: TableName): boolean {
    return !SYSTEM_SCHEMAS.includes(table.schema) && this.#known.get(keyOf(table))?.look?.kind !== 'm';
  }

  #formOf({ shape, operation, before }: AssembledChange): Form {
    const key = keyOf(shape.table);
    const look = this.#known.get(key)?.look;
    const names = (look === undefined ? this.#recorded.get(key)?.key : look.key) ?? [];
    if (operation === 'delete' && before !== undefined) {
      // What the server printed of an old row was the key, if the one that the catalog has now is not in it.
      const printed = printedIn(shape, before);
      if (printed.length > 0 && !names.every((name) => printed.includes(name))) return formOf(shape, look, printed);
    }
    let form = this.#forms.get(shape);
    if (form === undefined || form.look !== look) {
      form = formOf(shape, look, names);
      this.#forms.set(shape, form);
    }
    return form;
  }
}

function formOf(shape: Shape, look: TableLook | undefined, key: readonly string[]): Form {
  const virtual = new Set(look?.columns.filter((column) => column.virtual).map(({ name }) => name));
  let printed: readonly DecodedColumn[] = shape.columns;
  // What was not printed is in the catalog, if the table is still the one that was printed.
  if (shape.partial && look !== undefined && printed.every(({ name, type }) => has(look, name, type))) {
    printed = look.columns;
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
  return { look, definition, places };
}

function has(look: TableLook, name: string, type: string): boolean {
  return look.columns.some((column) => column.name === name && column.type === type);
}

function rowsOf(
  { operation, before, after, cut }: AssembledChange,
  { places, look }: Form,
): { readonly before: Row | undefined; readonly after: Row | undefined } {
  if (operation === 'truncate') return { before: undefined, after: undefined };
  /** What was not printed of an old row is NULL if the row was printed whole, else it is not known. */
  const whole = before !== undefined && look?.identity === 'f';
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
  // A delete that names no row still is one.
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
