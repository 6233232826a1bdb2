import type { Logger } from '../../base/index.ts';
import { type Endpoint, MAIN_DATABASE_OID_SQL, retireObjects, SUPERUSER } from '../../instance/index.ts';
import { type Connect, ReplicationConnection } from './replication-connection.ts';

/** A database without a tenant's objects. It serves, since roles belong to the whole server. */
const NEUTRAL_DATABASE = 'template1';

/**
 * Each setting is applied by itself, and a role that is locked is left for the next time: any role may keep a
 * transaction open in which it changes its own settings, and events do not wait for that.
 */
const APPLY = `
SET lock_timeout = '100ms';
-- Any role may store settings for itself. What one client of a shared role stores would apply to every other client, and the owner cannot undo it.
-- RAISE LOG writes any text to the server's log: a loop of it would fill the disk that all databases share. Only a superuser may set log_min_messages.
DO $dormouse$
DECLARE
  found record;
BEGIN
  FOR found IN
    SELECT r.rolname, d.datname FROM pg_catalog.pg_roles r
      LEFT JOIN pg_catalog.pg_db_role_setting s ON s.setrole = r.oid
      LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase
    WHERE r.rolname IN ('owner', 'writer', 'reader')
  LOOP
    BEGIN
      IF found.rolname <> 'owner' AND found.datname IS NULL THEN
        EXECUTE pg_catalog.format('ALTER ROLE %I RESET ALL', found.rolname);
      ELSIF found.rolname <> 'owner' THEN
        EXECUTE pg_catalog.format('ALTER ROLE %I IN DATABASE %I RESET ALL', found.rolname, found.datname);
      END IF;
      EXECUTE pg_catalog.format('ALTER ROLE %I SET log_min_messages = fatal', found.rolname);
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'dormouse: settings of role % stay: %', found.rolname, SQLERRM;
    END;
  END LOOP;
END
$dormouse$;
`;

/**
 * Three answers: this is the main database, whatever its name; the settings of the tenant's roles are as they should
 * be; no object that earlier versions made for events is left.
 */
const LOOK = `SELECT
  (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()) = ${MAIN_DATABASE_OID_SQL},
  NOT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
              WHERE r.rolname IN ('writer', 'reader')
                AND (s.setdatabase <> 0 OR s.setconfig <> ARRAY['log_min_messages=fatal']))
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r
                    WHERE r.rolname IN ('owner', 'writer', 'reader') AND NOT EXISTS (
                      SELECT FROM pg_catalog.pg_db_role_setting s
                      WHERE s.setrole = r.oid AND s.setdatabase = 0 AND 'log_min_messages=fatal' = ANY (s.setconfig))),
  NOT EXISTS (SELECT FROM pg_catalog.pg_roles r WHERE r.rolname = '${SUPERUSER}' AND (
    EXISTS (SELECT FROM pg_catalog.pg_publication p WHERE p.pubname IN ('dormouse', 'dormouse_listed') AND p.pubowner = r.oid)
    OR EXISTS (SELECT FROM pg_catalog.pg_event_trigger t WHERE t.evtname LIKE 'dormouse\\_on\\_%' AND t.evtowner = r.oid)
    OR EXISTS (SELECT FROM pg_catalog.pg_namespace n WHERE n.nspname = 'dormouse' AND n.nspowner = r.oid)))`;

export interface TidyOptions {
  readonly connect: Connect;
  readonly instance: { readonly endpoint: Endpoint };
  readonly logger: Logger;
}

/**
 * Checks the main database before its changes are read: resets settings that one client of a role has stored for all of
 * them, and removes the objects of earlier versions, once the epoch has a slot that needs none of them. One round trip
 * if there is nothing to do. Fails with `PostgresError`, and if `connection` is not to the main database; an object
 * that cannot be removed is left for the next time.
 */
export async function tidyMainDatabase(
  connection: ReplicationConnection,
  { connect, instance, logger }: TidyOptions,
): Promise<void> {
  const { endpoint } = instance;
  const [row] = await connection.query(LOOK);
  const [main, settings, clean] = row ?? [];
  if (main !== 't') throw new Error('another database has the name of the main one');
  if (settings !== 't') {
    // Roles belong to the whole server.
    const superuser = await ReplicationConnection.open(connect, endpoint, false, SUPERUSER, NEUTRAL_DATABASE);
    try {
      await superuser.query(APPLY);
    } finally {
      superuser.terminate();
      superuser.destroy();
    }
  }
  if (clean === 't') return;
  await retireObjects(endpoint).catch((error: unknown) => {
    logger.log('warn', 'what earlier versions had in a database is not all removed yet', { error: String(error) });
  });
}
