import type { RandomBytes } from '../../base/index.ts';

/** A connection that cannot be reset within this time is closed. */
export const RESET_MS = 5_000;

/**
 * Does what DISCARD ALL does, except for prepared statements and their plans, which the pool keeps. A seed that a
 * statement chose is replaced, since no command forgets it. One text is one transaction: either all of it happens or
 * nothing.
 */
export function resetScript(random: RandomBytes): string {
  const seed = Buffer.from(random(6)).readUIntBE(0, 6) / 2 ** 48;
  return (
    'SET SESSION AUTHORIZATION DEFAULT; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; DISCARD SEQUENCES; DISCARD TEMP; ' +
    `SELECT pg_catalog.pg_advisory_unlock_all(), pg_catalog.setseed(${seed})`
  );
}
