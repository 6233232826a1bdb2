/**
 * The objects that versions before the use of test_decoding created in a tenant's main database as superuser (their
 * `tenant-objects`, version 3).
 */
export const OLDER_OBJECTS_SQL = `
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

  listed := EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = 'dormouse' AND NOT pubupdate);
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
    ALTER PUBLICATION dormouse SET (publish = 'insert, truncate');
    RAISE WARNING 'dormouse: updates and deletes on tables with virtual generated columns and no primary key are not captured';
  END IF;
  EXECUTE 'ALTER PUBLICATION dormouse_listed SET ' || eligible;
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
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = 'dormouse') THEN
    CREATE PUBLICATION dormouse FOR ALL TABLES WITH (publish_generated_columns = stored);
  END IF;
  IF EXISTS (
    SELECT FROM pg_catalog.pg_publication p JOIN pg_catalog.pg_roles r ON r.oid = p.pubowner
    WHERE p.pubname = 'dormouse_listed' AND NOT r.rolsuper
  ) THEN
    DROP PUBLICATION dormouse_listed;
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = 'dormouse_listed') THEN
    CREATE PUBLICATION dormouse_listed WITH (publish = 'update, delete', publish_generated_columns = stored);
  END IF;
END
$dormouse$;
SELECT dormouse.keep_identities(NULL);
COMMENT ON PUBLICATION dormouse IS 'dormouse events 3';
COMMIT;
`;
