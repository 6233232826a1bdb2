import { randomBytes } from 'node:crypto';
import type { Endpoint } from '../contract/index.ts';
import { AdminSession, NEUTRAL_DATABASE } from './admin-session.ts';
import { SUPERUSER } from './roles.ts';

/**
 * The database `template0` takes 7 MB, a third of an empty server, so its name is there and its files are not: the
 * entry is what Postgres itself leaves of a database whose DROP was broken off (`datconnlimit` -2), which nobody may
 * use, and which vacuum and ages leave out. The door has the files made when a statement names it.
 *
 * The name must be ours always: from a database of that name, and of no other, Postgres makes copies of any encoding
 * without looking at what is in it, and texts that are none of their encoding are a way to overrun a buffer.
 */

/**
 * Makes an entry of initdb's into that name; its files, `TEMPLATE0_FILES` of the data directory, may then be removed.
 */
export const RESERVE_SQL = "UPDATE pg_catalog.pg_database SET datconnlimit = -2 WHERE datname = 'template0'";
/** The OID is that of initdb, in every major version from 15 on. */
export const TEMPLATE0_FILES = 'base/4';
const RESERVED = '-2';

/**
 * A copy takes a second on a busy disk, and up to five if sessions of the tenant's are in template1; longer silence is
 * not waited for.
 */
const SILENCE_MS = 30_000;

/** The version of the collation came with it. */
const VERSION_SINCE = 15;
/** The columns below are those of this major version. */
const ENTRY_SINCE = 18;

/**
 * What nobody uses is not of this name: a draft, and what a draft has replaced. No name that a tenant could know
 * beforehand.
 */
const DRAFT = 'dormouse_template0_';

/** A database of ours, which is told by its owner: 10 is the superuser that initdb makes. */
const OURS = 'datdba = 10';

/**
 * Makes the name ours in a server of an earlier version, which had none, before anybody may connect. A tenant's
 * database of that name gets another.
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

/** Another takes the place of the entry, in one moment: nobody else can take the name. */
async function replaceEntry(superuser: AdminSession): Promise<void> {
  const draft = `${DRAFT}${randomBytes(8).toString('hex')}`;
  await superuser.query(createSql(draft));
  await superuser.query('BEGIN');
  await superuser.query(`ALTER DATABASE template0 RENAME TO ${draft}_gone`);
  await superuser.query(`ALTER DATABASE ${draft} RENAME TO template0`);
  // As initdb does: what is copied from it may have another provider, whose version is another.
  if (superuser.major >= VERSION_SINCE) {
    await superuser.query(
      `UPDATE pg_catalog.pg_database SET datcollversion = NULL WHERE datname = 'template0' AND ${OURS}`,
    );
  }
  await superuser.query('COMMIT');
}

/** What it replaced, and what an earlier try left. */
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
