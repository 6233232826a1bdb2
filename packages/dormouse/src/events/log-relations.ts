import { assert } from '../base/index.ts';
import type { RelationDefinition, TableName } from './event-log.ts';
import type { SqlFile } from './sql-file.ts';

/** The tables that a log's events are of, each as it was when they were written. */
export class LogRelations {
  readonly #file: SqlFile;
  readonly #byId = new Map<number, RelationDefinition>();
  readonly #ids = new Map<string, number>();

  constructor(file: SqlFile) {
    this.#file = file;
  }

  /** After a transaction failed: what it wrote is not there. */
  forget(): void {
    this.#byId.clear();
    this.#ids.clear();
  }

  /** Ids of every definition that tables of these names had. */
  idsOf(tables: readonly TableName[]): number[] {
    return tables.flatMap(({ schema, name }) =>
      this.#file
        .all<{ id: bigint }>('SELECT id FROM relations WHERE schema = ? AND name = ?', schema, name)
        .map((row) => Number(row.id)),
    );
  }

  get(id: number): RelationDefinition {
    let definition = this.#byId.get(id);
    if (definition === undefined) {
      const row = this.#file.get<{ schema: string; name: string; columns: string }>(
        'SELECT schema, name, columns FROM relations WHERE id = ?',
        id,
      );
      assert(row !== undefined, 'a stored event has a known relation');
      definition = { schema: row.schema, name: row.name, columns: JSON.parse(row.columns) };
      this.#byId.set(id, definition);
    }
    return definition;
  }

  /** The id of a definition; made if it is new. */
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
}
