import { createHash, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chown, mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { DormouseError } from '../../base/index.ts';
import { RIGHTS_FILE, TEMPLATE0_FILES, writeRights } from '../administration/index.ts';
import type { Account, DataLayout } from '../machine/index.ts';
import {
  diskError,
  readIfPresent,
  removeTree,
  removeUnfinished,
  runAs,
  syncDirectory,
  syncTree,
  unfinishedPath,
  writeDurably,
  writeIfChanged,
} from '../machine/index.ts';
import type { Binaries } from './binaries.ts';
import {
  DEFAULT_CLIENTS_MAX,
  INITDB_ARGUMENTS,
  pgHbaConf,
  postgresqlConf,
  type ServerSettings,
  TEMPLATE_SQL,
  TEMPLATE_VERSION,
} from './settings.ts';
import { trimWal } from './trim-wal.ts';

/** The file beside the template's data that says which version of the template it is. */
const TEMPLATE_FILE = 'template.json';

export interface TemplateOptions {
  readonly layout: DataLayout;
  readonly account: Account;
  readonly binaries: Binaries;
  readonly onProgress?: (line: string) => void;
}

/**
 * A mark of the present template, which changes whenever the template is made anew: it tells copies of an older
 * template apart.
 */
export async function templateMark(layout: DataLayout, major: number): Promise<string> {
  const text = (await readIfPresent(join(layout.template(major), TEMPLATE_FILE))) ?? '';
  return `${major}-${createHash('sha256').update(text).digest('hex').slice(0, 12)}`;
}

/** The directory that a new database is copied from. */
export function templateData(layout: DataLayout, major: number): string {
  return join(layout.template(major), 'pgdata');
}

/**
 * Makes the template of this major version, unless a finished one of the present version exists. It gets its name last,
 * so a half-made template is never used. Fails with `disk_full`, `data_unusable`.
 */
export async function prepareTemplate(options: TemplateOptions): Promise<void> {
  const { layout, account, binaries } = options;
  const finished = layout.template(binaries.major);
  const known = await readIfPresent(join(finished, TEMPLATE_FILE));
  if (known !== undefined && (JSON.parse(known) as { version: number }).version === TEMPLATE_VERSION) return;
  options.onProgress?.(`Preparing the template database (PostgreSQL ${binaries.version})`);
  const unfinished = unfinishedPath(layout.templates, String(binaries.major));
  try {
    await removeUnfinished(layout.templates);
    await mkdir(unfinished, { recursive: true, mode: 0o711 });
    if (account.dropped) await chown(unfinished, account.uid, account.gid);
    const data = join(unfinished, 'pgdata');
    await runAs(account, join(binaries.bin, 'initdb'), [...INITDB_ARGUMENTS, `--pgdata=${data}`]);
    // The settings of its copies are written before each start.
    const settings = { clientsMax: DEFAULT_CLIENTS_MAX, tempLimitBytes: Number.POSITIVE_INFINITY };
    await configure(data, account, binaries, settings);
    await runSingle(binaries, account, data);
    await removeTree(join(data, TEMPLATE0_FILES));
    await trimWal(data);
    await writeRights(join(data, RIGHTS_FILE), account);
    await writeDurably(
      join(unfinished, TEMPLATE_FILE),
      JSON.stringify({ version: TEMPLATE_VERSION, postgres: binaries.version, made: randomBytes(8).toString('hex') }),
    );
    await syncTree(unfinished);
    await removeTree(finished);
    await rename(unfinished, finished);
    await syncDirectory(layout.templates);
  } catch (error) {
    await removeTree(unfinished).catch(() => {});
    throw diskError(error, 'data_unusable', unfinished);
  }
}

/** Runs the template's SQL in the single-user mode, which needs no socket, and stops cleanly at its end. */
async function runSingle(binaries: Binaries, account: Account, data: string): Promise<void> {
  // Without exit_on_error a failed statement only writes a line to stderr, and the exit code is 0.
  const args = ['--single', '-D', data, '-c', 'exit_on_error=on', 'postgres'];
  await runAs(account, join(binaries.bin, 'postgres'), args, { input: `${TEMPLATE_SQL.join('\n')}\n` });
}

/** The major version of a data directory, by its own PG_VERSION and not by any record. Fails with `start_failed`. */
export function dataMajor(data: string): number {
  const file = join(data, 'PG_VERSION');
  let said = '';
  let cause: unknown;
  try {
    said = readFileSync(file, 'utf8').trim();
  } catch (error) {
    cause = error;
  }
  if (/^\d+$/.test(said)) return Number(said);
  throw new DormouseError('start_failed', {
    message: `${data} is no data directory of PostgreSQL: its PG_VERSION ${cause === undefined ? `says "${said.slice(0, 20)}"` : 'cannot be read'}.`,
    ...(cause === undefined ? {} : { cause }),
  });
}

/** Writes the platform's settings into a data directory. */
export async function configure(
  data: string,
  account: Account,
  binaries: Binaries,
  settings: ServerSettings,
): Promise<void> {
  await Promise.all([
    writeIfChanged(join(data, 'postgresql.conf'), postgresqlConf(binaries, settings), account),
    writeIfChanged(join(data, 'pg_hba.conf'), pgHbaConf(), account),
  ]);
}
