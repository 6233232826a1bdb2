import type { Endpoint } from './instance.ts';
import { NEUTRAL_DATABASE, OwnSession } from './own-session.ts';
import { SUPERUSER } from './roles.ts';

/**
 * The copy of a database takes a second on a busy disk, and up to five if sessions of the tenant's are in template1; a server that says
 * nothing for longer is not waited for.
 */
const SILENCE_MS = 30_000;

/**
 * As initdb has it. It is not kept in every database, which it would make a third larger: the door makes it when a statement names it. From
 * here on nobody can make another of that name, and what is made of it may have any locale and encoding.
 */
const CREATE = 'CREATE DATABASE template0 TEMPLATE template1 IS_TEMPLATE true ALLOW_CONNECTIONS false';
/** As initdb does: what is copied from it may have another provider, whose version is another. 10 is the superuser that initdb makes. */
const FORGET_VERSION =
  "UPDATE pg_catalog.pg_database SET datcollversion = NULL WHERE datname = 'template0' AND datdba = 10 AND datcollversion IS NOT NULL";
/** The column came with it. */
const VERSION_SINCE = 15;

/** Makes `template0` unless it is there. Rejects with `PostgresError`, or an `Error` of the socket. */
export async function ensureTemplate0(endpoint: Endpoint): Promise<void> {
  const superuser = await OwnSession.open(endpoint, NEUTRAL_DATABASE, SILENCE_MS, SUPERUSER);
  try {
    const [found] = await superuser.query("SELECT oid FROM pg_catalog.pg_database WHERE datname = 'template0'");
    if (found === undefined) await superuser.query(CREATE);
    if (superuser.major >= VERSION_SINCE) await superuser.query(FORGET_VERSION);
  } finally {
    await superuser.close();
  }
}
