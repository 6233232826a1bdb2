import { type Clock, Deadline } from '../../base/index.ts';
import { decodeDataRow } from '../../wire/index.ts';
import type { SchemaChanges } from '../statements/index.ts';

/** Which statements may run code that a tenant keeps in the database, and that may change the session. */
export type CodeReach = 'none' | 'writes' | 'any';

/** The answer is a look at the catalog. Where that takes longer than this, connections are simply reset. */
const ASK_MS = 5_000;
/** FirstNormalObjectId: objects with a lower OID were made by initdb. */
const USER_OBJECTS_FROM = 16384;
/** BOOTSTRAP_SUPERUSERID. */
const SUPERUSER = 10;
/** `trigger`: a function that returns it cannot be called. */
const TRIGGER_TYPE = 2279;

/**
 * Functions of Postgres and its extensions that change the session or run SQL from a text. A tenant cannot change the
 * functions themselves, but a view, policy, default, check, rule or trigger condition may call them, and an operator or
 * cast may stand for them.
 */
const SESSION_FUNCTIONS =
  '^(set_config|setseed|set_limit|isn_weak|pg_(try_)?advisory_(un)?lock.*|.*_to_xml.*|ts_stat|ts_rewrite)$';
/** Extensions whose functions leave the session as it is and run no SQL text but their own. */
const HARMLESS_EXTENSIONS = [
  ...['bloom', 'btree_gin', 'btree_gist', 'citext', 'cube', 'dict_int', 'dict_xsyn', 'earthdistance', 'fuzzystrmatch'],
  ...['hstore', 'insert_username', 'intarray', 'isn', 'lo', 'ltree', 'moddatetime', 'pg_stat_statements', 'pg_trgm'],
  ...['pgcrypto', 'plpgsql', 'seg', 'tcn', 'tsm_system_rows', 'tsm_system_time', 'unaccent', 'uuid-ossp', 'vector'],
];

/**
 * Asks the catalog. The answer errs on the safe side. Every function that is not known to be harmless counts, whatever
 * its text says. Of trigger functions, which only a write can run, those count in full that could make other functions.
 * A tenant cannot make functions in C or of the superuser; these come with extensions, and only the harmless extensions
 * are left out.
 */
const ASK = `SET LOCAL search_path TO pg_catalog, pg_temp;
WITH made AS (
  SELECT p.oid, p.prorettype = ${TRIGGER_TYPE} AND p.prosrc !~* '\\m(execute|create|alter|call|do)\\M' AS triggered
  FROM pg_proc p LEFT JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
  LEFT JOIN pg_extension e ON e.oid = d.refobjid
  WHERE p.oid >= ${USER_OBJECTS_FROM} AND CASE WHEN p.proowner = ${SUPERUSER} OR p.prolang IN (12, 13)
    THEN e.extname <> ALL ('{${HARMLESS_EXTENSIONS.join(',')}}') ELSE true END
), unsafe AS (
  SELECT oid FROM pg_proc WHERE proname ~ '${SESSION_FUNCTIONS}'
), called AS (
  SELECT ':(funcid|opfuncid) (' || string_agg(oid::text, '|') || ') |:relid ' || 'pg_settings'::regclass::oid || ' ' AS mark FROM unsafe
), stored (tree) AS (
  SELECT ev_action FROM pg_rewrite WHERE ev_class >= ${USER_OBJECTS_FROM}
  UNION ALL SELECT ev_qual FROM pg_rewrite WHERE ev_class >= ${USER_OBJECTS_FROM}
  UNION ALL SELECT adbin FROM pg_attrdef
  UNION ALL SELECT polqual FROM pg_policy
  UNION ALL SELECT polwithcheck FROM pg_policy
  UNION ALL SELECT conbin FROM pg_constraint WHERE oid >= ${USER_OBJECTS_FROM}
  UNION ALL SELECT tgqual FROM pg_trigger
  UNION ALL SELECT typdefaultbin FROM pg_type WHERE oid >= ${USER_OBJECTS_FROM}
)
SELECT CASE
  WHEN EXISTS (SELECT FROM made WHERE NOT triggered)
    OR EXISTS (SELECT FROM pg_operator JOIN unsafe ON unsafe.oid = oprcode WHERE pg_operator.oid >= ${USER_OBJECTS_FROM})
    OR EXISTS (SELECT FROM pg_cast JOIN unsafe ON unsafe.oid = castfunc WHERE pg_cast.oid >= ${USER_OBJECTS_FROM})
    OR EXISTS (SELECT FROM stored, called WHERE tree::text ~ mark)
  THEN 'any' WHEN EXISTS (SELECT FROM made) THEN 'writes' ELSE 'none' END`;

/** A connection that runs the pool's own statements. */
export interface OwnStatements {
  own(sql: string, options: { readonly deadline: Deadline }): Promise<{ readonly rows: readonly Uint8Array[] }>;
}

/**
 * What is known of the code that a tenant keeps in one database: where there is none, no code can change a session
 * unseen. Asked once after each change of the schema.
 */
export class StoredCode {
  readonly #schemaChanges: SchemaChanges;
  readonly #clock: Clock;
  #reach: CodeReach = 'any';
  /** The count of schema changes under which the question was asked last, or is being asked. */
  #askedUnder = -1;

  constructor(schemaChanges: SchemaChanges, clock: Clock) {
    this.#schemaChanges = schemaChanges;
    this.#clock = clock;
  }

  /** Which statements may run a tenant's code. As long as that is not known: any. */
  get reach(): CodeReach {
    return this.#askedUnder === this.#schemaChanges.count ? this.#reach : 'any';
  }

  /** Whether the question has not been asked since the schema may have changed. */
  get unasked(): boolean {
    return this.#askedUnder !== this.#schemaChanges.count;
  }

  /**
   * Asks over a connection whose session is as a new one. Never rejects: without an answer, any statement may have run
   * such code.
   */
  async ask(connection: OwnStatements): Promise<void> {
    const { count } = this.#schemaChanges;
    this.#askedUnder = count;
    this.#reach = 'any';
    try {
      const { rows } = await connection.own(ASK, { deadline: Deadline.in(this.#clock, ASK_MS) });
      const [value] = rows[0] === undefined ? [] : decodeDataRow(rows[0]);
      const reach = value && Buffer.from(value).toString('latin1');
      if (this.#askedUnder === count && (reach === 'none' || reach === 'writes')) this.#reach = reach;
    } catch {
      // The pool puts the connection in order; any statement stays suspect until the schema changes again.
    }
  }
}
