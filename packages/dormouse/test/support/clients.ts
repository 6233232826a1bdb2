import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** The major versions of the stock Prisma Client that the suites drive. */
export type ClientVersion = 6 | 7;
export const CLIENT_VERSIONS: readonly ClientVersion[] = [6, 7];

/**
 * Clients are generated on demand, so their types do not exist when the tests are checked, and differ by version.
 * The values that come back are compared with literals, which is stricter than their types.
 */
// biome-ignore lint/suspicious/noExplicitAny: see above.
export type Loose = any;

/** The folder that holds the stock clients as applications install them. */
export const CLIENTS: string = fileURLToPath(new URL('../../../../test/clients/', import.meta.url));

function folder(version: ClientVersion): string {
  return join(CLIENTS, `prisma${version}`);
}

/** Resolves packages as an application in the version's folder does. */
export function requireOf(version: ClientVersion): NodeJS.Require {
  return createRequire(join(folder(version), 'package.json'));
}

/** The Prisma schema of a version, as generated from: its own head and the shared models. */
export function schemaText(version: ClientVersion): string {
  return (
    readFileSync(join(folder(version), 'generator.prisma'), 'utf8') +
    '\n' +
    readFileSync(join(CLIENTS, 'models.prisma'), 'utf8')
  );
}

/** What a Prisma schema cannot say: the view's SQL and one stricter column. */
export function extraSql(): string {
  return readFileSync(join(CLIENTS, 'extra.sql'), 'utf8');
}

/** A data model with the clients generated for it; the suites' own is the library's. */
export interface World {
  /** Part of the folder's name. */
  readonly name: string;
  schema(version: ClientVersion): string;
  /** Run after the schema is pushed. */
  sql(): string;
}

const LIBRARY: World = { name: '', schema: schemaText, sql: extraSql };

/** The generated loaders of WASM are for bundlers and Workers; Node loads a file by itself. */
const nodeWasmLoader = (file: string): string => `import { readFileSync } from 'node:fs';
export default Promise.resolve({
  default: new WebAssembly.Module(readFileSync(new URL('./${file}', import.meta.url))),
});
`;

/** Raised when what is generated changes without the schema or the version changing. */
const GENERATION = '4';

const generated = new Map<string, Promise<string>>();

/** Generates the clients of `version` if schema or version changed since; gives the folder. Needs no network. */
export function generateClient(version: ClientVersion, world: World = LIBRARY): Promise<string> {
  const key = `${version} ${world.name}`;
  let running = generated.get(key);
  if (running === undefined) {
    running = generate(version, world);
    generated.set(key, running);
  }
  return running;
}

async function generate(version: ClientVersion, world: World): Promise<string> {
  const out = join(folder(version), world.name === '' ? 'generated' : `generated-${world.name}`);
  const require = requireOf(version);
  const packageFile = require.resolve('prisma/package.json');
  const schema = world.schema(version);
  const stamp = createHash('sha256')
    .update(`${GENERATION}\n${JSON.parse(readFileSync(packageFile, 'utf8')).version}\n${schema}`)
    .digest('hex');
  const stampFile = join(out, 'stamp');
  if (existsSync(stampFile) && (await readFile(stampFile, 'utf8')) === stamp) return out;
  await rm(out, { recursive: true, force: true });
  await mkdir(out, { recursive: true });
  await writeFile(join(out, 'schema.prisma'), schema);
  const run = (...args: string[]): Promise<unknown> =>
    promisify(execFile)(
      process.execPath,
      [join(packageFile, '../build/index.js'), 'generate', '--schema', join(out, 'schema.prisma'), ...args],
      {
        cwd: folder(version),
        // `generate` looks for engine binaries on the network although it uses none: name any executable.
        env: {
          ...process.env,
          PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true',
          PRISMA_QUERY_ENGINE_LIBRARY: '/bin/true',
          PRISMA_HIDE_UPDATE_MESSAGE: '1',
          CHECKPOINT_DISABLE: '1',
        },
      },
    );
  if (version === 6) {
    await run('--no-engine', '--generator', 'client');
    await run('--generator', 'oracle');
    await writeFile(join(out, 'oracle/wasm-worker-loader.mjs'), nodeWasmLoader('query_engine_bg.wasm'));
  } else {
    await run();
    // The compiler's glue code holds one instance: the client for edges needs a copy beside the one for Node.
    await cp(join(out, 'client'), join(out, 'client-edge'), { recursive: true });
    await writeFile(join(out, 'client-edge/wasm-worker-loader.mjs'), nodeWasmLoader('query_compiler_fast_bg.wasm'));
  }
  await writeFile(stampFile, stamp);
  return out;
}

/** The generated CommonJS client of a version: `PrismaClient`, `Prisma`, the enums. */
export async function loadClient(version: ClientVersion, world?: World): Promise<Loose> {
  return requireOf(version)(join(await generateClient(version, world), 'client'));
}

/** The client that a version generates for edge runtimes. */
export async function loadEdgeClient(version: ClientVersion): Promise<Loose> {
  const out = await generateClient(version);
  return requireOf(version)(join(out, version === 6 ? 'client' : 'client-edge', 'edge.js'));
}

/** Prisma 7's TypeScript client (generator `prisma-client`), as the file to import. */
export async function typescriptClientPath(): Promise<string> {
  return join(await generateClient(7), 'client-ts/client.ts');
}

/** The Prisma 6 client around the vendor's own query engine. */
export async function loadOracle6(world?: World): Promise<Loose> {
  return requireOf(6)(join(await generateClient(6, world), 'oracle/wasm.js'));
}
