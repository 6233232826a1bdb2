import { join } from 'node:path';
import type { Logger } from '../../base/index.ts';
import type { Endpoint } from '../contract/index.ts';
import type { Account } from '../machine/index.ts';
import { readIfPresent, writeIfChanged } from '../machine/index.ts';
import { AdminSession, NEUTRAL_DATABASE, type TextRow } from './admin-session.ts';
import {
  createRoleSql,
  MAINTENANCE_ROLE,
  OWN_ROLES,
  type OwnRole,
  ownerRightsSql,
  REPLICATION_ROLE,
  SUPERUSER,
} from './roles.ts';
import { reserveTemplate0 } from './template0.ts';
import { TEMPLATE1_SINCE, TEMPLATE1_SQL } from './template1.ts';

/**
 * The file in the data directory, and so in every copy of it, that says which version of the platform's roles and
 * rights the server has. The template has the newest.
 */
export const RIGHTS_FILE = 'dormouse_rights';
export const RIGHTS_VERSION = '4';

/**
 * Every statement here takes milliseconds. An object that a session of an adopted server holds a lock on is left for
 * the next start.
 */
const SILENCE_MS = 4000;
const LOCK_MS = 2000;

/**
 * The OID of the main database, which identifies it: earlier versions let an owner give its name to another database.
 * From PostgreSQL 15 on the OID is 5; in 14 it is that of the last database that initdb makes.
 */
export const MAIN_DATABASE_OID_SQL = '(SELECT max(oid) FROM pg_catalog.pg_database WHERE oid < 16384 AND oid > 4)';

export interface UpgradeOptions {
  readonly name: string;
  readonly data: string;
  readonly endpoint: Endpoint;
  readonly account: Account;
  readonly logger: Logger;
}

function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}
function identifier(text: string): string {
  return `"${text.replaceAll('"', '""')}"`;
}

/**
 * Brings a server that an earlier version made to the present roles and rights, before a tenant may connect: the main
 * database belongs to the platform's superuser, the tenant's owner has its rights by grants, and the platform's work
 * has roles of its own. For any other server this only reads a small file. Never rejects: the server serves all the
 * same, and the next start tries again.
 *
 * Roles and databases belong to the whole server, so the superuser reads and changes them from template1, where no
 * tenant has any object. In the main database only the tenant's own role acts.
 */
export async function upgradeServer(options: UpgradeOptions): Promise<void> {
  const { name, data, endpoint, account, logger } = options;
  const file = join(data, RIGHTS_FILE);
  try {
    if ((await readIfPresent(file))?.trim() === RIGHTS_VERSION) return;
    const superuser = await AdminSession.open(endpoint, NEUTRAL_DATABASE, SILENCE_MS, SUPERUSER);
    try {
      await superuser.query(`SET lock_timeout = ${LOCK_MS}`);
      await makeRoles(superuser);
      await takeMainDatabase(superuser, endpoint);
      if (superuser.major >= TEMPLATE1_SINCE) await superuser.query(TEMPLATE1_SQL);
      await reserveTemplate0(superuser);
    } finally {
      await superuser.close();
    }
    await writeRights(file, account);
    logger.log('info', 'the roles and rights of an older database were brought to this version', { database: name });
  } catch (error) {
    logger.log(
      'warn',
      'the roles and rights of an older database could not be brought to this version; the next start tries again',
      {
        database: name,
        reason: String(error),
      },
    );
  }
}

/** Records that a data directory has the present roles and rights. */
export async function writeRights(file: string, account: Account): Promise<void> {
  await writeIfChanged(file, `${RIGHTS_VERSION}\n`, account);
}

async function makeRoles(superuser: AdminSession): Promise<void> {
  for (const role of OWN_ROLES) {
    const [found] = await superuser.query(roleSql(role));
    if (found === undefined) await superuser.query(createRoleSql(role, superuser.major));
    else if (found.some((said) => said !== 't')) throw new Error(`there is another role named ${role.name}`);
  }
}

/**
 * One row if the role exists, all true if it has the properties that it must have. An owner may grant it roles of the
 * owner's making, which gives the owner nothing.
 */
function roleSql({ name, replication, groups }: OwnRole): string {
  const known = groups.map(([group]) => literal(group)).join(', ') || "''";
  return `SELECT rolcanlogin AND NOT rolsuper AND NOT rolcreaterole AND NOT rolcreatedb AND NOT rolbypassrls
      AND rolreplication = ${replication},
    NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.roleid = r.oid),
    NOT EXISTS (SELECT FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
                WHERE m.member = r.oid AND g.oid < 16384 AND g.rolname NOT IN (${known}))
    FROM pg_catalog.pg_roles r WHERE r.rolname = ${literal(name)}`;
}

async function takeMainDatabase(superuser: AdminSession, endpoint: Endpoint): Promise<void> {
  const mainName = async (): Promise<TextRow> => {
    const [row] = await superuser.query(
      `SELECT d.datname, d.oid, d.datallowconn AND d.datconnlimit <> 0, pg_catalog.pg_get_userbyid(d.datdba)
       FROM pg_catalog.pg_database d WHERE d.oid = ${MAIN_DATABASE_OID_SQL}`,
    );
    if (row === undefined) throw new Error('the main database is gone');
    return row;
  };
  const [, oid, open, owner] = await mainName();
  // Locks the names and owners of databases until the transaction ends.
  const beginAlone = async (): Promise<string> => {
    await superuser.query('BEGIN');
    await superuser.query('LOCK TABLE pg_catalog.pg_database IN SHARE ROW EXCLUSIVE MODE');
    return (await mainName())[0] ?? '';
  };
  const name = await beginAlone();
  if (name !== 'postgres') {
    // An owner of an earlier version could rename the main database. A database that has its name now gets another.
    const [taken] = await superuser.query("SELECT oid FROM pg_catalog.pg_database WHERE datname = 'postgres'");
    if (taken !== undefined) await superuser.query(`ALTER DATABASE postgres RENAME TO "postgres_${taken[0]}"`);
    await superuser.query(`ALTER DATABASE ${identifier(name)} RENAME TO postgres`);
  }
  if (open !== 't') {
    await superuser.query('ALTER DATABASE postgres ALLOW_CONNECTIONS true');
    await superuser.query('ALTER DATABASE postgres CONNECTION LIMIT -1');
  }
  await superuser.query('COMMIT');
  if (owner === 'owner') await keepPublicSchema(endpoint, oid ?? '');
  const roles = (
    await superuser.query("SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ('owner', 'writer')")
  ).map(([role]) => role);
  if ((await beginAlone()) !== 'postgres') throw new Error('the main database has just got another name');
  await superuser.query(`ALTER DATABASE postgres OWNER TO ${SUPERUSER}`);
  if (roles.includes('owner')) {
    await superuser.query('GRANT CREATE, CONNECT, TEMPORARY ON DATABASE postgres TO owner WITH GRANT OPTION');
    for (const sql of ownerRightsSql(superuser.major)) await superuser.query(sql);
  }
  await superuser.query(`GRANT CONNECT ON DATABASE postgres TO ${REPLICATION_ROLE}, ${MAINTENANCE_ROLE}`);
  await superuser.query('COMMIT');
}

/**
 * With the main database, the schema public would become the superuser's. So its present owner takes the schema over in
 * its own name and by its own session.
 */
async function keepPublicSchema(endpoint: Endpoint, mainOid: string): Promise<void> {
  const owner = await AdminSession.open(endpoint, 'postgres', SILENCE_MS, 'owner');
  try {
    const [row] = await owner.query(
      `SELECT d.oid, n.nspowner FROM pg_catalog.pg_database d LEFT JOIN pg_catalog.pg_namespace n
         ON n.nspname = 'public' AND pg_catalog.pg_get_userbyid(n.nspowner) = 'pg_database_owner'
       WHERE d.datname = pg_catalog.current_database()`,
    );
    if (row?.[0] !== mainOid) throw new Error('another database has the name of the main one');
    if (row[1] !== null) await owner.query('ALTER SCHEMA public OWNER TO owner');
  } finally {
    await owner.close();
  }
}
