import { randomBytes } from 'node:crypto';
import type { Endpoint } from '../contract/index.ts';
import { AdminSession, NEUTRAL_DATABASE } from './admin-session.ts';
import { SUPERUSER } from './roles.ts';

/**
 * The database `template0` takes 7 MB, a third of an empty server, so servers have its name and not its files. Its
 * entry is what Postgres itself leaves of a database whose DROP was broken off (`datconnlimit` -2): no session may use
 * it, and vacuum and transaction ages leave it out. The door has the files made when a statement names the database.
 *
 * The name must always belong to the platform: from a database of this name, and of no other, Postgres makes copies of
 * any encoding without a check of the content, and texts that are invalid in their encoding are a way to overrun a
 * buffer.
 */

/**
 * Turns the entry that initdb made into such an entry; its files, `TEMPLATE0_FILES` in the data directory, may then be
 * removed.
 */
export const RESERVE_SQL = "UPDATE pg_catalog.pg_database SET datconnlimit = -2 WHERE datname = 'template0'";
/** The OID is the one that initdb gives in every major version from 15 on. */
export const TEMPLATE0_FILES = 'base/4';
const RESERVED = '-2';

/**
 * How long the server may be silent: a copy takes a second on a busy disk, and up to five if sessions of the tenant are
 * in template1.
 */
const SILENCE_MS = 30_000;

/** The major version that introduced the version of a database's collation. */
const VERSION_SINCE = 15;
/** The major version whose columns the INSERT below lists. */
const ENTRY_SINCE = 18;

/**
 * The start of the names of drafts, and of entries that a draft has replaced. The rest is random, so a tenant cannot
 * take the name beforehand.
 */
const DRAFT = 'dormouse_template0_';

/** The condition for a database of the platform, which its owner tells: 10 is the superuser that initdb makes. */
const OURS = 'datdba = 10';

/**
 * Reserves the name in a server that an earlier version made without `template0`, before a tenant may connect. A
 * tenant's database of that name gets another name.
 */
export async function reserveTemplate0(superuser: AdminSession): Promise<void> {
  const [found] = await superuser.query(`SELECT oid, ${OURS} FROM pg_catalog.pg_database WHERE datname = 'template0'`);
  if (found?.[1] === 't') return;
  if (found !== undefined) await superuser.query(`ALTER DATABASE template0 RENAME TO "template0_${found[0]}"`);
  if (superuser.major < ENTRY_SINCE) {
    await superuser.query(createSql('template0'));
    return;
  }
  await superuser.query(
    `INSERT INTO pg_catalog.pg_database
       (oid, datname, datdba, encoding, datlocprovider, datistemplate, datallowconn, dathasloginevt, datconnlimit, datfrozenxid,
        datminmxid, dattablespace, datcollate, datctype, datlocale, daticurules, datcollversion, datacl)
     SELECT 4, 'template0', 10, encoding, datlocprovider, true, false, false, ${RESERVED}, datfrozenxid,
        datminmxid, dattablespace, datcollate, datctype, datlocale, daticurules, NULL, datacl
     FROM pg_catalog.pg_database WHERE datname = 'template1'`,
  );
}

/** Makes the files of `template0` unless they are there. Rejects with `PostgresError`, or an `Error` of the socket. */
export async function ensureTemplate0(endpoint: Endpoint): Promise<void> {
  const superuser = await AdminSession.open(endpoint, NEUTRAL_DATABASE, SILENCE_MS, SUPERUSER);
  try {
    const [found] = await superuser.query(
      `SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = 'template0'`,
    );
    if (found === undefined) await superuser.query(createSql('template0'));
    else if (found[0] === RESERVED) await replaceEntry(superuser);
    else return;
    await dropDrafts(superuser);
  } finally {
    await superuser.close();
  }
}

/** Puts a real database in the place of the entry, in one transaction, so that no other database can take the name. */
async function replaceEntry(superuser: AdminSession): Promise<void> {
  const draft = `${DRAFT}${randomBytes(8).toString('hex')}`;
  await superuser.query(createSql(draft));
  await superuser.query('BEGIN');
  await superuser.query(`ALTER DATABASE template0 RENAME TO ${draft}_gone`);
  await superuser.query(`ALTER DATABASE ${draft} RENAME TO template0`);
  // As initdb does: a copy of it may have another collation provider, with versions of its own.
  if (superuser.major >= VERSION_SINCE) {
    await superuser.query(
      `UPDATE pg_catalog.pg_database SET datcollversion = NULL WHERE datname = 'template0' AND ${OURS}`,
    );
  }
  await superuser.query('COMMIT');
}

/** Drops the replaced entry, and drafts that an earlier attempt left. */
async function dropDrafts(superuser: AdminSession): Promise<void> {
  const drafts = await superuser.query(
    `SELECT datname FROM pg_catalog.pg_database WHERE pg_catalog.starts_with(datname::pg_catalog.text, '${DRAFT}') AND ${OURS}`,
  );
  for (const [name] of drafts) {
    await superuser.query(
      `UPDATE pg_catalog.pg_database SET datistemplate = false WHERE datname = '${name}' AND ${OURS}`,
    );
    await superuser.query(`DROP DATABASE "${name}"`);
  }
}

function createSql(name: string): string {
  return `CREATE DATABASE ${name} TEMPLATE template1 IS_TEMPLATE true ALLOW_CONNECTIONS false`;
}
