import { randomBytes } from 'node:crypto';
import { rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { startOwner } from './instance-owner.ts';
import { copyPrepared, isPreparing } from './prepared.ts';

/**
 * Puts a data directory at `directory`, where nothing is, as a first start leaves it before it makes a database: with
 * PostgreSQL's programs, the template and a master key of its own. What the product makes once per machine is then made
 * once per test run. Does nothing outside a test run: the start itself makes all of it.
 */
export async function prepareDataDirectory(directory: string): Promise<void> {
  if (!isPreparing()) return;
  await copyPrepared('data-directory', directory, makeDataDirectory, { linked: ['postgres'] });
  writeFileSync(join(directory, 'master.key'), randomBytes(32), { mode: 0o600 });
  writeFileSync(join(directory, 'format'), '1\n', { mode: 0o600 });
}

async function makeDataDirectory(directory: string): Promise<void> {
  const owner = await startOwner({ dataDirectory: directory });
  await owner.prepare();
  await owner.close();
  // Each copy makes a lock of its own.
  rmSync(join(directory, 'instances.lock'));
}
