import { assert } from '../../base/index.ts';
import type { ColumnDefinition, RelationDefinition, TableFacts, TableName } from './event-log.ts';
import type { SqlFile } from './sql-file.ts';

/** The tables of a log's events, each with the columns that it had when the events were written. */
export class LogRelations {
  readonly #file: SqlFile;
  readonly #byId = new Map<number, RelationDefinition>();
  readonly #ids = new Map<string, number>();

  constructor(file: SqlFile) {
    this.#file = file;
  }

  /** Forgets what is in memory, after a transaction failed: what that wrote is not in the file. */
  forget(): void {
    this.#byId.clear();
    this.#ids.clear();
  }

  /** The ids of every definition of the tables of these names, and of their partitions and inheriting tables. */
  idsOf(tables: readonly TableName[]): number[] {
    return tables.flatMap(({ schema, name }) =>
      this.#file
        .all<{ id: bigint }>(
          `SELECT id FROM relations WHERE schema = ? AND name = ? UNION
           SELECT r.id FROM tables t JOIN relations r ON r.schema = t.schema AND r.name = t.name
           WHERE EXISTS (SELECT 1 FROM json_each(t.ancestors) WHERE value = json_array(?, ?))`,
          schema,
          name,
          schema,
          name,
        )
        .map((row) => Number(row.id)),
    );
  }

  /** Records facts of a table, which hold for all of its events. A first key is never replaced. */
  record({ schema, name, key, ancestors, partition }: TableFacts): void {
    const names = ancestors.map((each) => [each.schema, each.name]);
    this.#file.run(
      `INSERT INTO tables (schema, name, key, ancestors, partition) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE
       SET key = iif(key = 'null', excluded.key, key), ancestors = excluded.ancestors, partition = excluded.partition`,
      ...[schema, name, JSON.stringify(key), JSON.stringify(names), partition === true ? 1 : 0],
    );
    this.#byId.clear();
  }

  tables(): TableFacts[] {
    return this.#file.all<FactsRow>('SELECT schema, name, key, ancestors, partition FROM tables').map(factsOf);
  }

  get(id: number): RelationDefinition {
    let definition = this.#byId.get(id);
    if (definition === undefined) {
      const row = this.#file.get<{ schema: string; name: string; columns: string }>(
        'SELECT schema, name, columns FROM relations WHERE id = ?',
        id,
      );
      assert(row !== undefined, 'a stored event has a known relation');
      definition = this.#withFacts({ schema: row.schema, name: row.name, columns: JSON.parse(row.columns) });
      this.#byId.set(id, definition);
    }
    return definition;
  }

  /** The id of a definition; a new definition is stored. */
  idOf(definition: RelationDefinition): number {
    const columns = JSON.stringify(definition.columns);
    const key = JSON.stringify([definition.schema, definition.name, columns]);
    let id = this.#ids.get(key);
    if (id === undefined) {
      const { schema, name } = definition;
      this.#file.run('INSERT OR IGNORE INTO relations (schema, name, columns) VALUES (?, ?, ?)', schema, name, columns);
      const row = this.#file.get<{ id: bigint }>(
        'SELECT id FROM relations WHERE schema = ? AND name = ? AND columns = ?',
        schema,
        name,
        columns,
      );
      id = Number(row?.id);
      this.#ids.set(key, id);
    }
    return id;
  }

  /** Events of a table that had no key have its first key, or all columns as long as it has had none. */
  #withFacts(definition: RelationDefinition): RelationDefinition {
    const { schema, name } = definition;
    const row = this.#file.get<FactsRow>(
      'SELECT schema, name, key, ancestors, partition FROM tables WHERE schema = ? AND name = ?',
      schema,
      name,
    );
    const facts = row && factsOf(row);
    const keyed = definition.columns.some((column) => column.key);
    const first = facts?.key?.every((each) => definition.columns.some((column) => column.name === each))
      ? facts.key
      : undefined;
    const columns = keyed
      ? definition.columns
      : definition.columns.map(
          (column): ColumnDefinition => ({ ...column, key: first?.includes(column.name) ?? true }),
        );
    const { ancestors = [], partition } = facts ?? {};
    const part = partition === undefined ? {} : { partition };
    return { schema, name, columns, ...(ancestors.length === 0 ? {} : { ancestors, ...part }) };
  }
}

interface FactsRow {
  readonly schema: string;
  readonly name: string;
  readonly key: string;
  readonly ancestors: string;
  readonly partition: bigint;
}

function factsOf(row: FactsRow): TableFacts {
  const ancestors = (JSON.parse(row.ancestors) as [string, string][]).map(([schema, name]) => ({ schema, name }));
  const part = row.partition === 1n ? { partition: true as const } : {};
  return { schema: row.schema, name: row.name, key: JSON.parse(row.key), ancestors, ...part };
}
