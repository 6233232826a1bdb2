import { join } from 'node:path';
import type pg from 'pg';
import { expect } from 'vitest';
import { readControlFile } from '../../src/instance/postgres/control-file.ts';
import { connectTo, queryOnce } from './instance-owner.ts';

/** The identity as the files say and as the server says. */
export async function identities(directory: string, socket: string): Promise<[bigint, bigint]> {
  const [row] = await queryOnce(socket, 'SELECT system_identifier::text AS id FROM pg_control_system()', 'dormouse');
  return [(await readControlFile(join(directory, 'pgdata'))).systemId, BigInt(row?.id as string)];
}

/** Accounts whose sum never changes, and a table that arrives empty. */
export const TRANSFERS_SQL: string = `
  CREATE TABLE accounts (id int PRIMARY KEY, balance bigint NOT NULL);
  INSERT INTO accounts SELECT i, 1000 FROM generate_series(1, 100) i;
  CREATE TABLE entries (id bigserial PRIMARY KEY, writer int NOT NULL, sequence int NOT NULL, UNIQUE (writer, sequence));
  CREATE UNLOGGED TABLE scratchpad (v int);
  INSERT INTO scratchpad VALUES (1);
`;

export interface Transfers {
  /** How many were acknowledged. */
  readonly acknowledged: () => number;
  end(): Promise<void>;
}

/**
 * Moves money between accounts and writes an entry, in one transaction each, until told to end. Counts what was
 * acknowledged.
 */
export function startTransfers(socket: string, writer: number): Transfers {
  let over = false;
  let sequence = 0;
  let acknowledged = 0;
  const work = (async () => {
    const client: pg.Client = await connectTo(socket);
    try {
      while (!over) {
        sequence++;
        const from = 1 + ((sequence * 7 + writer) % 100);
        const to = 1 + ((sequence * 13 + writer * 31) % 100);
        const [low, high] = from < to ? [from, to] : [to, from];
        await client.query(`BEGIN;
          SELECT FROM accounts WHERE id IN (${low}, ${high}) ORDER BY id FOR UPDATE;
          UPDATE accounts SET balance = balance - 1 WHERE id = ${from};
          UPDATE accounts SET balance = balance + 1 WHERE id = ${to};
          INSERT INTO entries (writer, sequence) VALUES (${writer}, ${sequence}); COMMIT`);
        acknowledged = sequence;
      }
    } finally {
      await client.end().catch(() => {});
    }
  })();
  return {
    acknowledged: () => acknowledged,
    async end() {
      over = true;
      await work;
    },
  };
}

/** Checks the sums, and that each writer's entries have no gap and reach at least the given number. */
export async function checkTransfers(socket: string, atLeast: readonly number[]): Promise<void> {
  expect(await queryOnce(socket, 'SELECT sum(balance)::int AS sum FROM accounts')).toEqual([{ sum: 100_000 }]);
  for (const [writer, least] of atLeast.entries()) {
    const [row] = await queryOnce(
      socket,
      `SELECT coalesce(max(sequence), 0)::int AS last, count(*)::int AS count FROM entries WHERE writer = ${writer}`,
    );
    // Its entries without a hole, and every one that was acknowledged before the call.
    expect(row?.count).toBe(row?.last);
    expect(row?.last).toBeGreaterThanOrEqual(least);
  }
}
