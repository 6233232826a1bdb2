import type { Endpoint } from '../contract/index.ts';
import { AdminSession, type TextRow } from './admin-session.ts';
import { SUPERUSER } from './roles.ts';

const MAIN_DATABASE = 'postgres';
const SCHEMA = 'dormouse';
const PUBLICATIONS: readonly string[] = ['dormouse', 'dormouse_listed'];
const EVENT_TRIGGERS: readonly string[] = ['dormouse_on_ddl', 'dormouse_on_drop'];
const SILENCE_MS = 4000;
const LOCK_MS = 2000;

/**
 * Removes what earlier versions had in the main database: a schema, two publications, two event triggers, and the
 * replica identity FULL of tables without a key. To be called when nothing reads the publications any more: changes
 * written from then on are not read through them.
 *
 * The objects belong to the superuser, so only the superuser can drop them. Each object is dropped only if it belongs
 * to the superuser: no object that a tenant made does, and no tenant can rename or replace such an object meanwhile. A
 * drop runs no code of a tenant. Tables belong to the tenant and are altered by the tenant's own role. Fails with
 * `PostgresError`; objects that are left are removed by a later call.
 */
export async function retireObjects(endpoint: Endpoint): Promise<void> {
  const superuser = await open(endpoint, SUPERUSER);
  try {
    const named = (names: readonly string[]): string => names.map((name) => `'${name}'`).join(', ');
    const mine = `(SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = '${SUPERUSER}')`;
    const ours = async (column: string, owner: string, from: string, names: readonly string[]): Promise<string[]> => {
      const rows: readonly TextRow[] = await superuser.query(
        `SELECT ${column} FROM pg_catalog.${from} WHERE ${column} IN (${named(names)}) AND ${owner} = ${mine}`,
      );
      return rows.map(([name]) => name ?? '');
    };
    // The event triggers go first, because they would set the replica identities again.
    for (const name of await ours('evtname', 'evtowner', 'pg_event_trigger', EVENT_TRIGGERS)) {
      await superuser.query(`DROP EVENT TRIGGER ${name}`);
    }
    for (const name of await ours('pubname', 'pubowner', 'pg_publication', PUBLICATIONS)) {
      await superuser.query(`DROP PUBLICATION ${name}`);
    }
    const [schema] = await ours('nspname', 'nspowner', 'pg_namespace', [SCHEMA]);
    // The identities are reset only now: a table that is published and has no identity would refuse updates.
    if (schema !== undefined) await resetIdentities(endpoint);
    // No tenant could create anything in the schema; a view that reads from it is dropped with it.
    if (schema !== undefined) await superuser.query(`DROP SCHEMA ${SCHEMA} CASCADE`);
  } finally {
    await superuser.close();
  }
}

async function open(endpoint: Endpoint, user: string): Promise<AdminSession> {
  const session = await AdminSession.open(endpoint, MAIN_DATABASE, SILENCE_MS, user);
  await session.query(`SET lock_timeout = ${LOCK_MS}`);
  return session;
}

/**
 * Resets the replica identity of the tables that an earlier version set to FULL and that still have it. Tables that do
 * not belong to the role `owner` keep it.
 */
async function resetIdentities(endpoint: Endpoint): Promise<void> {
  const owner = await open(endpoint, 'owner');
  try {
    const rows = await owner.query(
      `SELECT pg_catalog.format('%I.%I', n.nspname, c.relname) FROM dormouse.full_identity f
         JOIN pg_catalog.pg_class c ON c.oid = f.relation JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
       WHERE c.relreplident = 'f' AND pg_catalog.pg_get_userbyid(c.relowner) = CURRENT_USER`,
    );
    for (const [name] of rows) await owner.query(`ALTER TABLE ${name} REPLICA IDENTITY DEFAULT`);
  } finally {
    await owner.close();
  }
}
