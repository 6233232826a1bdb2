import type { ReplicationConnection } from './replication-connection.ts';

/**
 * What capture has inside a tenant's database: a publication, and event triggers that keep every published table updatable. All of it
 * belongs to the superuser. It carries a version in the publication's comment and is applied again when that is not this one.
 *
 * Why the triggers: once a table is published, Postgres refuses UPDATE and DELETE on it unless it has a replica identity. A table
 * without (immediate) primary key gets REPLICA IDENTITY FULL. One that also has virtual generated columns cannot have it (Postgres
 * refuses its updates then, too): for its sake updates and deletes are published by a list of all other tables, a second publication.
 * The list is not the rule because changing it locks the publication until the transaction ends, which would make DDL of one
 * session wait for another's. It is there from the beginning, empty: a tenant may make publications, and one of that name with a list of
 * columns would end every stream that asks for both, for as long as there is WAL of its time.
 *
 * `full_identity` remembers whom we gave FULL, so that a primary key added later (pg_restore adds them last) takes it back, while a
 * tenant's own choice of FULL stays. Readable by all: pg_dump reads every table.
 *
 * Security: the function runs as superuser on every tenant's DDL. It names everything with its schema, quotes names of the tenant's,
 * calls nothing of his, can be called as an event trigger only, and a failure in it is a warning to him, never an error.
 */
const VERSION = 3;

export const PUBLICATION = 'dormouse';
export const LISTED_PUBLICATION = 'dormouse_listed';

const APPLY = `
BEGIN;
SET LOCAL lock_timeout = '2s';
CREATE SCHEMA IF NOT EXISTS dormouse;
REVOKE ALL ON SCHEMA dormouse FROM PUBLIC;
GRANT USAGE ON SCHEMA dormouse TO PUBLIC;
CREATE TABLE IF NOT EXISTS dormouse.full_identity (relation oid PRIMARY KEY);
GRANT SELECT ON dormouse.full_identity TO PUBLIC;

-- pg_write_all_data, which the writer has, asks no grants.
CREATE OR REPLACE FUNCTION dormouse.refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $dormouse$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = current_user AND rolsuper) THEN
    RAISE insufficient_privilege USING MESSAGE = 'permission denied: this table belongs to Dormouse';
  END IF;
  RETURN NULL;
END
$dormouse$;
REVOKE ALL ON FUNCTION dormouse.refuse() FROM PUBLIC;
CREATE OR REPLACE TRIGGER refuse BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON dormouse.full_identity
  FOR EACH STATEMENT EXECUTE FUNCTION dormouse.refuse();

CREATE OR REPLACE FUNCTION dormouse.keep_identities(candidates oid[]) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $dormouse$
DECLARE
  found record;
  listed boolean;
  eligible text;
BEGIN
  FOR found IN
    SELECT c.oid, n.nspname, c.relname, c.relreplident
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid >= 16384
      AND (candidates IS NULL OR c.oid = ANY (candidates))
      AND CASE c.relreplident
        WHEN 'f' THEN EXISTS (SELECT FROM dormouse.full_identity f WHERE f.relation = c.oid)
          AND EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate)
        WHEN 'd' THEN NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate)
        WHEN 'i' THEN NOT EXISTS (SELECT FROM pg_catalog.pg_index i WHERE i.indrelid = c.oid AND i.indisreplident)
        ELSE true
      END
  LOOP
    BEGIN
      IF found.relreplident = 'f' THEN
        EXECUTE pg_catalog.format('ALTER TABLE %I.%I REPLICA IDENTITY DEFAULT', found.nspname, found.relname);
        DELETE FROM dormouse.full_identity WHERE relation = found.oid;
      ELSE
        EXECUTE pg_catalog.format('ALTER TABLE %I.%I REPLICA IDENTITY FULL', found.nspname, found.relname);
        INSERT INTO dormouse.full_identity VALUES (found.oid) ON CONFLICT DO NOTHING;
      END IF;
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'dormouse: no replica identity for %.%: %', found.nspname, found.relname, SQLERRM;
    END;
  END LOOP;
  IF candidates IS NULL THEN
    DELETE FROM dormouse.full_identity f WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = f.relation);
  END IF;

  listed := EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = '${PUBLICATION}' AND NOT pubupdate);
  IF NOT listed AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_class c
    WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.relreplident = 'f' AND c.oid >= 16384
      AND (candidates IS NULL OR c.oid = ANY (candidates))
      AND EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated = 'v' AND NOT a.attisdropped)
  ) THEN
    RETURN;
  END IF;
  SELECT pg_catalog.string_agg(pg_catalog.format('TABLE ONLY %I.%I', n.nspname, c.relname), ', ' ORDER BY c.oid) INTO eligible
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND c.oid >= 16384 AND n.nspname <> 'information_schema'
    AND NOT (c.relreplident = 'f' AND EXISTS (
      SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated = 'v' AND NOT a.attisdropped));
  IF NOT listed THEN
    ALTER PUBLICATION ${PUBLICATION} SET (publish = 'insert, truncate');
    RAISE WARNING 'dormouse: updates and deletes on tables with virtual generated columns and no primary key are not captured';
  END IF;
  EXECUTE 'ALTER PUBLICATION ${LISTED_PUBLICATION} SET ' || eligible;
EXCEPTION WHEN OTHERS THEN
  RAISE WARNING 'dormouse: replica identities were not checked: %', SQLERRM;
END
$dormouse$;
REVOKE ALL ON FUNCTION dormouse.keep_identities(oid[]) FROM PUBLIC;

CREATE OR REPLACE FUNCTION dormouse.on_ddl() RETURNS event_trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $dormouse$
DECLARE
  candidates oid[];
BEGIN
  IF TG_EVENT = 'sql_drop' THEN
    -- A dropped column, type or index may have been a key: of a table that is still there, which the event does not name.
    IF NOT EXISTS (
      SELECT FROM pg_catalog.pg_event_trigger_dropped_objects() WHERE object_type = 'index' AND NOT is_temporary
    ) THEN
      RETURN;
    END IF;
  ELSE
    SELECT pg_catalog.array_agg(DISTINCT t.relid::oid) INTO candidates
    FROM pg_catalog.pg_event_trigger_ddl_commands() d,
      LATERAL (SELECT d.objid::regclass AS relid UNION SELECT p.relid FROM pg_catalog.pg_partition_tree(d.objid::regclass) p) t
    WHERE d.classid = 'pg_catalog.pg_class'::regclass AND t.relid IS NOT NULL;
    IF candidates IS NULL THEN
      RETURN;
    END IF;
  END IF;
  PERFORM dormouse.keep_identities(candidates);
EXCEPTION WHEN OTHERS THEN
  RAISE WARNING 'dormouse: replica identities were not checked: %', SQLERRM;
END
$dormouse$;
REVOKE ALL ON FUNCTION dormouse.on_ddl() FROM PUBLIC;

DROP EVENT TRIGGER IF EXISTS dormouse_on_ddl;
CREATE EVENT TRIGGER dormouse_on_ddl ON ddl_command_end
  WHEN TAG IN ('CREATE TABLE', 'CREATE TABLE AS', 'SELECT INTO', 'ALTER TABLE', 'CREATE SCHEMA')
  EXECUTE FUNCTION dormouse.on_ddl();
DROP EVENT TRIGGER IF EXISTS dormouse_on_drop;
CREATE EVENT TRIGGER dormouse_on_drop ON sql_drop EXECUTE FUNCTION dormouse.on_ddl();

DO $dormouse$
BEGIN
  -- Never dropped and made anew: a decoder of older WAL would not find it.
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = '${PUBLICATION}') THEN
    CREATE PUBLICATION ${PUBLICATION} FOR ALL TABLES WITH (publish_generated_columns = stored);
  END IF;
  IF EXISTS (
    SELECT FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_roles r ON r.oid = p.pubowner
    WHERE p.pubname = '${LISTED_PUBLICATION}' AND NOT r.rolsuper
  ) THEN
    DROP PUBLICATION ${LISTED_PUBLICATION};
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = '${LISTED_PUBLICATION}') THEN
    CREATE PUBLICATION ${LISTED_PUBLICATION} WITH (publish = 'update, delete', publish_generated_columns = stored);
  END IF;
END
$dormouse$;
SELECT dormouse.keep_identities(NULL);
COMMENT ON PUBLICATION ${PUBLICATION} IS 'dormouse events ${VERSION}';
COMMIT;
`;

/**
 * Each by itself, and what a session holds a lock on is left for the next time: any role may keep a transaction open in which it changes
 * settings of its own, and nobody's events wait for that.
 */
const APPLY_SETTINGS = `
SET lock_timeout = '100ms';
-- Any role may keep settings of its own. What one reader leaves there would meet every other reader, and the owner cannot undo it.
-- RAISE LOG writes to the server's log whatever the client asks for: a loop of it would fill the disk of all. Only a superuser sets that.
DO $dormouse$
DECLARE
  name text;
BEGIN
  FOR name IN SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ('owner', 'writer', 'reader') LOOP
    BEGIN
      IF name <> 'owner' THEN
        EXECUTE pg_catalog.format('ALTER ROLE %I RESET ALL', name);
        EXECUTE pg_catalog.format('ALTER ROLE %I IN DATABASE postgres RESET ALL', name);
      END IF;
      EXECUTE pg_catalog.format('ALTER ROLE %I SET log_min_messages = fatal', name);
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'dormouse: settings of role % stay: %', name, SQLERRM;
    END;
  END LOOP;
  -- Nobody could take that back: it holds for its owner too.
  IF (SELECT datconnlimit FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()) = 0 THEN
    EXECUTE pg_catalog.format('ALTER DATABASE %I CONNECTION LIMIT -1', pg_catalog.current_database());
  END IF;
EXCEPTION WHEN OTHERS THEN
  RAISE WARNING 'dormouse: connections to the database stay limited: %', SQLERRM;
END
$dormouse$;
RESET lock_timeout;
`;

/** Brings our objects to this version, and takes back what meets other roles; one round trip if nothing is to do. Fails with `PostgresError`. */
export async function applyTenantObjects(connection: ReplicationConnection): Promise<void> {
  const [row] = await connection.query(
    `SELECT
     EXISTS (SELECT FROM pg_catalog.pg_publication p
             WHERE p.pubname = '${PUBLICATION}' AND p.puballtables
               AND pg_catalog.obj_description(p.oid, 'pg_publication') = 'dormouse events ${VERSION}')
       AND (SELECT count(*) FROM pg_catalog.pg_event_trigger t
            WHERE t.evtname IN ('dormouse_on_ddl', 'dormouse_on_drop') AND t.evtenabled <> 'D') = 2,
     NOT EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s JOIN pg_catalog.pg_roles r ON r.oid = s.setrole
                 WHERE r.rolname IN ('writer', 'reader')
                   AND (s.setdatabase <> 0 OR s.setconfig <> ARRAY['log_min_messages=fatal']))
       AND NOT EXISTS (SELECT FROM pg_catalog.pg_roles r
                       WHERE r.rolname IN ('owner', 'writer', 'reader') AND NOT EXISTS (
                         SELECT FROM pg_catalog.pg_db_role_setting s
                         WHERE s.setrole = r.oid AND s.setdatabase = 0 AND 'log_min_messages=fatal' = ANY (s.setconfig)))
       AND EXISTS (SELECT FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database() AND d.datconnlimit <> 0)`,
  );
  const [objects, settings] = row ?? [];
  if (objects !== 't') await connection.query(APPLY);
  if (settings !== 't') await connection.query(APPLY_SETTINGS);
}
