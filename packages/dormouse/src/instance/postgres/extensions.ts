import { existsSync } from 'node:fs';
import { readdir, readFile, rename, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { readIfPresent, syncDirectory, writeDurably } from '../machine/index.ts';

/**
 * The extensions that an owner may create: docs/EXTENSIONS.md says what each is for, what was weighed, and why
 * PostgreSQL's other extensions are not here. All of them are `trusted` in our copy of the control files, so a role
 * that may create a schema may create them: Postgres runs the script as its superuser, which replaces no existing
 * object, and the objects that it makes belong to the superuser.
 *
 * To be listed, an extension must give a user no more than the user's role has: no file, no network, no program, no
 * data by way of pages or WAL, no code of the user in a session of another role; and it must load on every system that
 * there are programs for.
 */
const OFFERED: ReadonlySet<string> = new Set([
  'autoinc',
  'bloom',
  'btree_gin',
  'btree_gist',
  'citext',
  'cube',
  'dict_int',
  'dict_xsyn',
  'earthdistance',
  'fuzzystrmatch',
  'hstore',
  'insert_username',
  'intarray',
  'isn',
  'lo',
  'ltree',
  'moddatetime',
  'pg_stat_statements',
  'pg_trgm',
  'pgcrypto',
  'pgrowlocks',
  'pgstattuple',
  'plpgsql',
  'seg',
  'sslinfo',
  'tablefunc',
  'tcn',
  'tsm_system_rows',
  'tsm_system_time',
  'unaccent',
  'uuid-ossp',
]);

/** The file beside an installed build that says which list its control files were made from. */
const LIST_FILE = 'EXTENSIONS';
const LIST = [...OFFERED].join(' ');

export const CONTROL = '.control';
/** The end of the name of a control file that Postgres does not list, because it looks for names that end as above. */
const WITHHELD = '.control.withheld';

/**
 * Makes the control files of an installed build list the offered extensions only, as trusted. The files may be hard
 * links to the package's, so they are replaced and never written to. Does nothing where that was done before.
 */
export async function offerExtensions(build: string): Promise<void> {
  const list = join(build, LIST_FILE);
  if ((await readIfPresent(list)) === LIST) return;
  const directory = join(build, 'share', 'postgresql', 'extension');
  for (const file of await readdir(directory)) {
    const name = [CONTROL, WITHHELD].flatMap((end) => (file.endsWith(end) ? file.slice(0, -end.length) : []))[0];
    if (name === undefined) continue;
    const present = join(directory, file);
    const wanted = join(directory, `${name}${OFFERED.has(name) ? CONTROL : WITHHELD}`);
    if (OFFERED.has(name)) await replaceBy(present, trusted(await readFile(present, 'utf8')));
    if (wanted !== present) await rename(present, wanted);
  }
  await syncDirectory(directory);
  await writeDurably(list, LIST);
}

export function isOffered(extension: string): boolean {
  return OFFERED.has(extension);
}

/** The text of a control file that says `trusted = true`. */
export function trusted(control: string): string {
  const rest = control.split('\n').filter((line) => !/^\s*trusted\s*=/.test(line));
  return `${rest.join('\n').trimEnd()}\ntrusted = true\n`;
}

async function replaceBy(path: string, text: string): Promise<void> {
  const unfinished = `${path}.new`;
  await writeFile(unfinished, text, { mode: 0o644 });
  await rename(unfinished, path);
}

/** The library of `pg_stat_statements`, which needs shared memory and so must be loaded at the start of the server. */
const STATEMENTS_LIBRARY = 'pg_stat_statements';

/**
 * The libraries that every server of the build in `bin` loads at its start: those that the platform uses and the build
 * has.
 */
export function preloadLibraries(bin: string): readonly string[] {
  const root = dirname(bin);
  const found = [join(root, 'lib', 'postgresql'), join(root, 'lib')].some((directory) =>
    ['so', 'dylib'].some((end) => existsSync(join(directory, `${STATEMENTS_LIBRARY}.${end}`))),
  );
  return found ? [STATEMENTS_LIBRARY] : [];
}
