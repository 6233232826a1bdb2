import { createHash } from 'node:crypto';
import { realpathSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rename, stat, symlink, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DormouseError } from '../../base/index.ts';
import { readIfPresent, removeTree, unfinishedPath } from '../machine/index.ts';
import type { Binaries } from './binaries.ts';
import { CONTROL, isOffered, trusted } from './extensions.ts';

/**
 * The major version that introduced `extension_control_path`: servers of older versions use the control files of the
 * build.
 */
const CONTROL_PATH_SINCE = 18;
const TRUSTED = /^\s*trusted\s*=\s*'?(true|on|yes|1)'?\s*(#.*)?$/m;

/**
 * Makes the directory in which servers of a build that the user names look for extensions. The build's own files must
 * not be changed, so the platform has a directory with control files of the extensions that an owner may create, and
 * links to all other files. An owner may create the extensions that the platform offers of PostgreSQL's own, those that
 * the build calls trusted, and those that the operator trusts (`--trust-extension`). Other extensions are not listed.
 *
 * Gives the builds with `extensions` set. Fails with `usage_invalid` for a name that no build has.
 */
export async function offerGiven(
  given: readonly Binaries[],
  directory: string,
  trust: readonly string[],
): Promise<readonly Binaries[]> {
  const known = new Set<string>();
  const builds: Binaries[] = [];
  for (const build of given) builds.push(build.major < CONTROL_PATH_SINCE ? build : await offer(build));
  const unknown = trust.find((name) => !known.has(name));
  if (unknown === undefined) return builds;
  throw new DormouseError('usage_invalid', {
    message: `--trust-extension ${unknown}: no --pg-bin of PostgreSQL ${CONTROL_PATH_SINCE} has an extension of that name. An older build's own control file says it (trusted = true).`,
  });

  async function offer(build: Binaries): Promise<Binaries> {
    const source = await sourceOf(build);
    // The setting is a list of paths with colons in between.
    if (source === undefined || directory.includes(':')) return build;
    const files = (await readdir(source)).sort();
    const controls = new Map<string, string>();
    for (const file of files.filter((each) => each.endsWith(CONTROL))) {
      const name = basename(file, CONTROL);
      const text = await readFile(join(source, file), 'utf8');
      known.add(name);
      if (isOffered(name) || trust.includes(name)) controls.set(file, trusted(text));
      else if (TRUSTED.test(text)) controls.set(file, text);
    }
    const links = files.filter((file) => !file.endsWith(CONTROL));
    const mark = createHash('sha256')
      .update(JSON.stringify([source, [...controls], links]))
      .digest('hex')
      .slice(0, 12);
    const finished = join(directory, `extensions-${mark}`);
    if (!(await isWhole(finished, controls, links))) {
      const unfinished = unfinishedPath(directory, `extensions-${mark}`);
      // Postgres looks into a directory of this name.
      const inside = join(unfinished, 'extension');
      await mkdir(inside, { recursive: true });
      for (const [file, text] of controls) await writeFile(join(inside, file), text, { mode: 0o644 });
      for (const file of links) await symlink(join(source, file), join(inside, file));
      for (const each of [inside, unfinished]) await chmod(each, 0o755);
      await removeTree(finished);
      await rename(unfinished, finished);
    }
    return { ...build, extensions: finished };
  }
}

/** The directory of a build's control files, in one of the usual layouts. */
async function sourceOf({ bin, major }: Binaries): Promise<string | undefined> {
  const root = dirname(realpathSync(bin));
  const candidates = [
    join(root, 'share', 'postgresql', 'extension'),
    join(root, 'share', 'extension'),
    // Debian: lib/postgresql/18/bin and share/postgresql/18.
    join(root, '..', '..', '..', 'share', 'postgresql', String(major), 'extension'),
    // Fedora and similar: bin and share/pgsql.
    join(root, 'share', 'pgsql', 'extension'),
  ];
  for (const candidate of candidates) if (await isThere(join(candidate, `plpgsql${CONTROL}`))) return candidate;
  return undefined;
}

/** Whether the directory is complete: it is never synced, so a power cut may have left a part of it. */
async function isWhole(
  made: string,
  controls: ReadonlyMap<string, string>,
  links: readonly string[],
): Promise<boolean> {
  const inside = join(made, 'extension');
  const there = new Set(await readdir(inside).catch(() => []));
  if (there.size !== controls.size + links.length || !links.every((file) => there.has(file))) return false;
  for (const [file, text] of controls) if ((await readIfPresent(join(inside, file))) !== text) return false;
  return true;
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
