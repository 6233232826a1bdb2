import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { type Loose, schemaText } from '../support/clients.ts';

const FOLDER = fileURLToPath(new URL('../../../../.cache/clients/', import.meta.url));

/** Installs a version of the stock client from the registry, once, and generates it for the suites' data model. */
export async function installClient(version: string): Promise<Loose> {
  const folder = join(FOLDER, version);
  await mkdir(folder, { recursive: true });
  const require = createRequire(join(folder, 'package.json'));
  if (!existsSync(join(folder, 'node_modules/@prisma/client'))) {
    await writeFile(join(folder, 'package.json'), '{"private":true}');
    await run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', ...packages(version)], folder);
  }
  const major = version.startsWith('6.') ? 6 : 7;
  const schema = schemaText(major).replace(/(?:\/\/\/[^\n]*\n)?generator (?:oracle|typescript) \{.*?\n\}\n/gs, '');
  await writeFile(join(folder, 'schema.prisma'), schema);
  const cli = join(require.resolve('prisma/package.json'), '../build/index.js');
  const args = [cli, 'generate', '--schema', join(folder, 'schema.prisma'), ...(major === 6 ? ['--no-engine'] : [])];
  await run(process.execPath, args, folder);
  return require(join(folder, 'client'));
}

function packages(version: string): string[] {
  return [`prisma@${version}`, `@prisma/client@${version}`];
}

async function run(file: string, args: readonly string[], cwd: string): Promise<void> {
  // `generate` looks for engine binaries on the network although it uses none: name any executable.
  const env = {
    ...process.env,
    // That of a door on this machine; the registry's certificate is checked.
    NODE_TLS_REJECT_UNAUTHORIZED: undefined,
    PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true',
    PRISMA_QUERY_ENGINE_LIBRARY: '/bin/true',
    PRISMA_HIDE_UPDATE_MESSAGE: '1',
    CHECKPOINT_DISABLE: '1',
  };
  await promisify(execFile)(file, args, { cwd, env, maxBuffer: 2 ** 24 });
}
