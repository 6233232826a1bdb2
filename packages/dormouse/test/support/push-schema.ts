import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { PrismaPg } from '@prisma/adapter-pg';
import { bindMigrationAwareSqlAdapterFactory } from '@prisma/driver-adapter-utils';
import pg from 'pg';
import { type ClientVersion, extraSql, type Loose, schemaText } from './clients.ts';

interface SchemaEngine {
  schemaPush(input: {
    readonly force: boolean;
    readonly schema: { readonly files: readonly { readonly path: string; readonly content: string }[] };
    readonly filters: { readonly externalTables: readonly string[]; readonly externalEnums: readonly string[] };
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

/** The vendor's schema engine. One WASM instance a process: its glue code keeps the instance to itself. */
async function schemaEngineModule(): Promise<SchemaEngineModule> {
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

// Catalogue columns of the type "char" (OID 18) reach the schema engine, whose adapter does not know that type: as text.
const CHAR_OID = 18;
const TEXT_OID = 25;

class CataloguePool extends pg.Pool {
  override query: Loose = async (...args: unknown[]): Promise<unknown> => {
    const result = await (super.query as Loose)(...args);
    for (const field of result.fields) if (field.dataTypeID === CHAR_OID) field.dataTypeID = TEXT_OID;
    return result;
  };
}

/** What `prisma db push` does, without its binary: makes the tables that `schema` describes. */
export async function pushSchemaText(postgresUrl: string, schema: string): Promise<void> {
  loading ??= schemaEngineModule();
  const { SchemaEngine } = await loading;
  // The schema engine reads no URL from the schema: the adapter holds it, and Prisma 7 refuses one in the schema.
  const content = schema.replace(/^\s*url\s*=\s*env\(.*\)\s*$/m, '');
  const files = [{ path: 'schema.prisma', content }];
  const pool = new CataloguePool({ connectionString: postgresUrl, max: 2 });
  const adapter = bindMigrationAwareSqlAdapterFactory(new PrismaPg(pool));
  const engine = await SchemaEngine.new(
    { datamodels: files.map((file) => [file.path, file.content]) },
    () => {},
    adapter,
  );
  try {
    const result = await engine.schemaPush({
      force: false,
      schema: { files },
      filters: { externalTables: [], externalEnums: [] },
    });
    if (result.unexecutable.length > 0 || result.warnings.length > 0) {
      throw new Error(`schema push: ${[...result.unexecutable, ...result.warnings].join('; ')}`);
    }
  } finally {
    engine.free();
    await pool.end();
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

/** Makes the tables, the view and the stricter column of the suites' data model. */
export async function pushSchema(postgresUrl: string, version: ClientVersion): Promise<void> {
  await pushSchemaText(postgresUrl, schemaText(version));
  await runSql(postgresUrl, extraSql());
}
