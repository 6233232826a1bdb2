import { createHash, randomUUID } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory, ColumnTypeEnum, type SqlQueryable } from '@prisma/driver-adapter-utils';
import pg from 'pg';
import { type ClientVersion, extraSql, type Loose, schemaText, type World } from './clients.ts';

export interface MigrationList {
  readonly baseDir: string;
  readonly lockfile: { readonly path: string; readonly content: string | null };
  readonly shadowDbInitScript: string;
  readonly migrationDirectories: readonly {
    readonly path: string;
    readonly migrationFile: {
      readonly path: string;
      readonly content: { readonly tag: 'ok'; readonly value: string };
    };
  }[];
}

interface Filters {
  readonly externalTables: readonly string[];
  readonly externalEnums: readonly string[];
}

export const NO_FILTERS: Filters = { externalTables: [], externalEnums: [] };

/** The vendor's schema engine, as far as the tests call it. */
export interface SchemaEngine {
  devDiagnostic(input: {
    readonly migrationsList: MigrationList;
    readonly filters: Filters;
  }): Promise<{ readonly action: { readonly tag: 'reset' | 'createMigration'; readonly reason?: string } }>;
  createMigration(input: {
    readonly draft: boolean;
    readonly migrationName: string;
    readonly migrationsList: MigrationList;
    readonly schema: { readonly files: readonly { readonly path: string; readonly content: string }[] };
    readonly filters: Filters;
  }): Promise<{ readonly generatedMigrationName: string; readonly migrationScript: string | null }>;
  applyMigrations(input: {
    readonly migrationsList: MigrationList;
    readonly filters: Filters;
  }): Promise<{ readonly appliedMigrationNames: readonly string[] }>;
  schemaPush(input: {
    readonly force: boolean;
    readonly schema: { readonly files: readonly { readonly path: string; readonly content: string }[] };
    readonly filters: Filters;
  }): Promise<{ executedSteps: number; unexecutable: string[]; warnings: string[] }>;
  free(): void;
}

// The compiler is given no browser library, and Node's types leave this global out.
declare const WebAssembly: {
  instantiate(bytes: Uint8Array, imports: object): Promise<{ instance: { exports: Record<string, unknown> } }>;
};

interface SchemaEngineModule {
  __wbg_set_wasm(exports: Record<string, unknown>): void;
  readonly SchemaEngine: {
    new: (options: object, log: (line: string) => void, adapter: object) => Promise<SchemaEngine>;
  };
}

let loading: Promise<SchemaEngineModule> | undefined;

/** The vendor's schema engine. One WASM instance per process: its glue code keeps the instance to itself. */
async function schemaEngineModule(): Promise<SchemaEngineModule> {
  // Where the module tells of a panic; without it the panic is lost and its promise never settles.
  Object.assign(globalThis, {
    PRISMA_WASM_PANIC_REGISTRY: { set_message: (message: string) => console.error(`schema engine: ${message}`) },
  });
  const require = createRequire(import.meta.url);
  const glue = (await import('@prisma/schema-engine-wasm/schema_engine_bg')) as unknown as SchemaEngineModule;
  const file = require.resolve('@prisma/schema-engine-wasm').replace('schema_engine.js', 'schema_engine_bg.wasm');
  const { instance } = await WebAssembly.instantiate(readFileSync(file), {
    './schema_engine_bg.js': glue,
  });
  glue.__wbg_set_wasm(instance.exports);
  (instance.exports.__wbindgen_start as () => void)();
  return glue;
}

// Catalogue columns of the type "char" (OID 18) must reach the schema engine as characters, a type that its adapter
// does not know. It knows arrays of them (OID 1002): under that name they pass it, and are called what they are behind
// it.
const CHAR_OID = 18;
const CHAR_ARRAY_OID = 1002;

class CataloguePool extends pg.Pool {
  override query: Loose = async (...args: unknown[]): Promise<unknown> => {
    const result = await (super.query as Loose)(...args);
    for (const field of result.fields) if (field.dataTypeID === CHAR_OID) field.dataTypeID = CHAR_ARRAY_OID;
    return result;
  };
}

function withCharacters<T extends SqlQueryable>(queryable: T): T {
  const queryRaw = queryable.queryRaw.bind(queryable);
  queryable.queryRaw = async (query) => {
    const result = await queryRaw(query);
    const columnTypes = result.columnTypes.map((type) =>
      type === ColumnTypeEnum.CharacterArray ? ColumnTypeEnum.Character : type,
    );
    return { ...result, columnTypes };
  };
  return queryable;
}

/** Gives the schema engine connections of its own kind, for the shadow database too. */
class CatalogueAdapter extends PrismaPg {
  readonly #url: string;
  readonly #pool: pg.Pool;
  readonly #onStatement: (sql: string) => void;

  constructor(url: string, pool: pg.Pool, onStatement: (sql: string) => void) {
    super(pool);
    this.#url = url;
    this.#pool = pool;
    this.#onStatement = onStatement;
  }

  override async connect(): ReturnType<PrismaPg['connect']> {
    const connection = withCharacters(await super.connect());
    const executeRaw = connection.executeRaw.bind(connection);
    connection.executeRaw = (query) => {
      this.#onStatement(query.sql);
      return executeRaw(query);
    };
    return connection;
  }

  override async connectToShadowDb(): ReturnType<PrismaPg['connectToShadowDb']> {
    const name = `prisma_migrate_shadow_db_${randomUUID()}`;
    await this.#pool.query(`CREATE DATABASE "${name}"`);
    const url = new URL(this.#url);
    url.pathname = `/${name}`;
    return new PrismaPg(new CataloguePool({ connectionString: url.href, max: 2 }), {
      disposeExternalPool: true,
    })
      .connect()
      .then((connection) => {
        const dispose = connection.dispose.bind(connection);
        connection.dispose = async () => {
          await dispose();
          await this.#pool.query(`DROP DATABASE "${name}"`);
        };
        return withCharacters(connection);
      });
  }
}

/** Runs `work` with the schema engine over the database at `postgresUrl`, for the models in `schema`. */
export async function withSchemaEngine<T>(
  postgresUrl: string,
  schema: string,
  work: (engine: SchemaEngine, files: readonly { readonly path: string; readonly content: string }[]) => Promise<T>,
  onStatement: (sql: string) => void = () => {},
): Promise<T> {
  loading ??= schemaEngineModule();
  const { SchemaEngine } = await loading;
  // The schema engine reads no URL from the schema: the adapter holds it, and Prisma 7 refuses one in the schema.
  const content = schema.replace(/^\s*url\s*=\s*env\(.*\)\s*$/m, '');
  const files = [{ path: 'schema.prisma', content }];
  const pool = new CataloguePool({ connectionString: postgresUrl, max: 2 });
  const engine = await SchemaEngine.new(
    { datamodels: files.map((file) => [file.path, file.content]) },
    () => {},
    bindMigrationAwareSqlAdapterFactory(new CatalogueAdapter(postgresUrl, pool, onStatement)),
  );
  try {
    return await work(engine, files);
  } finally {
    engine.free();
    await pool.end();
  }
}

/** What the schema engine made of a schema in an empty database, kept: most suites push the same ones. */
const PUSHED = fileURLToPath(new URL('../../../../.cache/pushed-schemas/', import.meta.url));

/** What `prisma db push` does, without its binary: makes the tables that `schema` describes. */
export async function pushSchemaText(postgresUrl: string, schema: string): Promise<void> {
  if (!(await isEmpty(postgresUrl))) return void (await push(postgresUrl, schema));
  const require = createRequire(import.meta.url);
  const engine = readFileSync(join(dirname(require.resolve('@prisma/schema-engine-wasm')), 'package.json'));
  const kept = `${PUSHED}${createHash('sha256').update(engine).update(schema).digest('hex')}.sql`;
  if (existsSync(kept)) return runSql(postgresUrl, readFileSync(kept, 'utf8'));
  const sql = await push(postgresUrl, schema);
  mkdirSync(PUSHED, { recursive: true });
  const draft = `${kept}.${randomUUID()}`;
  writeFileSync(draft, sql);
  renameSync(draft, kept);
}

/** Gives the SQL that did it. */
async function push(postgresUrl: string, schema: string): Promise<string> {
  const statements: string[] = [];
  await withSchemaEngine(
    postgresUrl,
    schema,
    async (engine, files) => {
      const result = await engine.schemaPush({ force: false, schema: { files }, filters: NO_FILTERS });
      if (result.unexecutable.length > 0 || result.warnings.length > 0) {
        throw new Error(`schema push: ${[...result.unexecutable, ...result.warnings].join('; ')}`);
      }
      if (result.executedSteps > 0 && statements.length === 0) throw new Error('a schema push without a statement');
    },
    (sql) => statements.push(sql),
  );
  return statements.join(';\n');
}

/** Whether nothing is in it that a schema could describe. */
async function isEmpty(postgresUrl: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: postgresUrl });
  await client.connect();
  try {
    const { rows } = await client.query(
      `SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace
       UNION ALL SELECT FROM pg_type WHERE typnamespace = 'public'::regnamespace
       UNION ALL SELECT FROM pg_namespace WHERE nspname !~ '^pg_' AND nspname NOT IN ('public', 'information_schema')`,
    );
    return rows.length === 0;
  } finally {
    await client.end();
  }
}

/** Runs SQL over TCP, outside every Prisma Client. */
export async function runSql(postgresUrl: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: postgresUrl });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}

/** Makes the tables of a data model, by default the library's: tables, view and the stricter column. */
export async function pushSchema(postgresUrl: string, version: ClientVersion, world?: World): Promise<void> {
  await pushSchemaText(postgresUrl, world?.schema(version) ?? schemaText(version));
  await runSql(postgresUrl, world?.sql() ?? extraSql());
}
