import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DormouseError } from '../../base/index.ts';
import { resolveAccount } from '../machine/index.ts';
import {
  type Binaries,
  type BinariesOptions,
  checkPackage,
  findInstalled,
  NEW_MAJOR,
  prepareBinaries,
  useGiven,
} from './binaries.ts';
import { offerGiven } from './build-extensions.ts';

/**
 * The builds of PostgreSQL that this machine has: one for new databases, and others for databases of other major
 * versions.
 */
export interface Builds {
  /** The build of new databases. */
  readonly newest: Binaries;
  /** The build that serves data of this major version. Fails with `binaries_missing`, whose message says what to do. */
  of(pgMajor: number): Binaries;
}

export interface BuildsOptions extends BinariesOptions {
  /**
   * Directories of `postgres` and `initdb`; the first of NEW_MAJOR is for new databases, in place of the npm package's.
   */
  readonly pgBins: readonly string[];
  /** Extensions of these builds that owners may create in addition to those that are trusted anyway. */
  readonly trustExtensions: readonly string[];
}

/**
 * Checks that there is a build for new databases, before anything is changed. Fails with `binaries_missing`,
 * `account_unusable`, whose messages say what to do.
 */
export async function checkBuilds(pgBins: readonly string[], pgUser: string | undefined): Promise<void> {
  const account = await resolveAccount(pgUser);
  let found = false;
  for (const bin of pgBins) found = (await useGiven(bin, account)).major === NEW_MAJOR || found;
  if (!found) checkPackage();
}

/**
 * Finds or installs the builds. For each major version the first given build is used, else that of the npm package,
 * else the latest that an earlier version of the package left installed. Fails with `binaries_missing`,
 * `account_unusable`, `disk_full`, `usage_invalid`.
 */
export async function prepareBuilds({ pgBins, trustExtensions, ...options }: BuildsOptions): Promise<Builds> {
  const named: Binaries[] = [];
  for (const bin of pgBins) named.push(await useGiven(bin, options.account));
  const given = await offerGiven(named, options.directory, trustExtensions);
  // If only builds of older versions are given, they are for data of those versions.
  const newest = given.find(({ major }) => major === NEW_MAJOR) ?? (await prepareBinaries(options));
  const found = [newest, ...given];
  found.push(...(await installedEarlier(options.directory)));
  return {
    newest,
    of(pgMajor) {
      const build = found.find(({ major }) => major === pgMajor);
      if (build !== undefined) return build;
      const known = [...new Set(found.map(({ major }) => major))].join(', ');
      throw new DormouseError('binaries_missing', {
        message: `This database is of PostgreSQL ${pgMajor}, and there are programs of PostgreSQL ${known} only. Start Dormouse with one more --pg-bin DIR, the directory of postgres and initdb of a PostgreSQL ${pgMajor}. Nothing was done to its data.`,
        meta: { major: pgMajor },
      });
    },
  };
}

async function installedEarlier(directory: string): Promise<Binaries[]> {
  const found: Binaries[] = [];
  for (const name of await readdir(directory)) {
    const build = await findInstalled(join(directory, name));
    if (build !== undefined) found.push(build);
  }
  return found.sort((one, other) => other.version.localeCompare(one.version, 'en', { numeric: true }));
}
