import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Instance } from '../../src/instance/index.ts';
import { openSession } from '../support/pg-session.ts';
import { processesOf } from '../support/reaper.mjs';
import { type RestingInstance, startRestingInstance } from '../support/resting-instance.ts';
import { until } from '../support/until.ts';

// These tests check that a freeze interrupts no statement, and that everything is as it should be after hours of
// freeze. The hours are compressed: the timeouts are short and the freeze is several times as long. To run with a
// freeze of ten minutes: DORMOUSE_FREEZE_MINUTES=10 npx vitest run packages/dormouse/test/system/freeze.test.ts

const MINUTES = Number(process.env.DORMOUSE_FREEZE_MINUTES ?? 0);
const FREEZE_MS = MINUTES > 0 ? MINUTES * 60_000 : 3000;
/** The length of every timeout that a session sets. */
const SETTING_MS = Math.round(FREEZE_MS / 5);

let resting: RestingInstance;
let instance: Instance;

beforeAll(async () => {
  resting = await startRestingInstance('freeze', { suspendAfterMs: 0 });
  ({ instance } = resting);
});
afterAll(() => resting?.close());

const ask = (sql: string): Promise<string | undefined> => resting.ask(sql);

const session = () => openSession(resting.owner.config);

/** The title of each process of the server; Postgres writes into it what the process does. */
function titles(): { readonly title: string; readonly pid: number }[] {
  return processesOf(resting.instances.directory(instance.databaseId)).map((pid) => {
    try {
      return { pid, title: readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim() };
    } catch {
      return { pid, title: '' };
    }
  });
}

describe('a freeze', () => {
  it('a freeze never interrupts a statement, whatever begins while the freeze begins', async () => {
    const caught: string[] = [];
    let freezes = 0;
    let backends = 0;
    // This callback runs at the moment in which everything is frozen, before anything can thaw it.
    const forget = instance.onChange((state) => {
      if (state !== 'suspended') return;
      freezes++;
      for (const { title } of titles()) {
        if (!title.includes('[local]')) continue;
        backends++;
        if (!title.endsWith(' idle')) caught.push(title);
      }
    });
    let over = false;
    const answers: unknown[] = [];
    const asker = async (number: number): Promise<void> => {
      const { client } = await session();
      for (let n = 0; !over; n++) {
        const { rows } = await client.query(
          n % 3 === 0 ? 'SELECT $1::int + 1 AS n, pg_sleep(0.002)' : 'SELECT $1::int + 1 AS n',
          [n],
        );
        if (rows[0]?.n !== n + 1) answers.push(rows);
        // Some queries come at once, others a little later, into the freeze that begins in the pause.
        if (n % 2 === 0) await new Promise((resolve) => setTimeout(resolve, (n * number) % 7));
      }
      await client.end();
    };
    const pooled = async (): Promise<void> => {
      for (let n = 0; !over; n++) {
        if ((await ask(`SELECT ${n} + 1`)) !== String(n + 1)) answers.push(n);
        await new Promise((resolve) => setTimeout(resolve, n % 5));
      }
    };
    const forcing = async (): Promise<void> => {
      while (!over) {
        await instance.suspend().catch((error: { code?: string }) => {
          if (error.code !== 'database_busy') throw error;
        });
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
    };
    const all = [asker(1), asker(2), asker(3), pooled(), forcing()];
    try {
      await until(() => freezes >= 60, { what: 'freezes under fire', withinMs: 150_000 });
    } finally {
      over = true;
      await Promise.all(all);
      forget();
    }
    expect([caught, answers]).toEqual([[], []]);
    // The check has seen backends.
    expect(backends).toBeGreaterThan(freezes);
  });
});

describe('after a long freeze', () => {
  it(
    'after a long freeze clocks are right, timeouts have not expired, and sessions and background work go on',
    async () => {
      const steady = await session();
      await steady.client.query(`SET statement_timeout = ${SETTING_MS}; SET lock_timeout = ${SETTING_MS};
        SET idle_in_transaction_session_timeout = ${SETTING_MS}; SET transaction_timeout = ${SETTING_MS};
        CREATE TEMP TABLE mine (n int); PREPARE kept AS SELECT count(*)::int AS n FROM mine`);
      const short = await session();
      await short.client.query(`SET idle_session_timeout = ${SETTING_MS}`);
      expect(await ask('SELECT 1')).toBe('1');
      await instance.suspend();
      const before = titles().map(({ pid }) => pid);
      const frozenAtMs = Date.now();
      await new Promise((resolve) => setTimeout(resolve, FREEZE_MS));
      expect(instance.state).toBe('suspended');

      // Every clock shows the real time, and no statement is older than its start.
      const { rows } = await steady.client.query(
        "SELECT extract(epoch FROM clock_timestamp())::float8 * 1000 AS now, pg_sleep(0.01), statement_timestamp() - transaction_timestamp() < '1s' AS young",
      );
      expect(rows[0].now).toBeGreaterThanOrEqual(frozenAtMs + FREEZE_MS - 1000);
      expect(rows[0].now).toBeLessThanOrEqual(Date.now() + 1000);
      expect(rows[0].young).toBe(true);
      expect((await steady.client.query('EXECUTE kept')).rows).toEqual([{ n: 0 }]);
      await steady.client.query('BEGIN; INSERT INTO mine VALUES (1); COMMIT');
      // The server ends the session that set an idle timeout, as it would have done without the freeze, and with the
      // same error.
      await until(() => short.lost(), { what: 'the end of the session with an idle_session_timeout' });
      expect(short.lost()).toMatchObject({ code: '57P05' });
      expect(await ask('SELECT 2')).toBe('2');

      // Only the backend of that session has ended; all other processes of the server run again.
      const now = titles();
      expect(before.filter((pid) => !now.some((one) => one.pid === pid)).length).toBeLessThanOrEqual(1);
      for (const kind of ['autovacuum launcher', 'checkpointer', 'walwriter', 'background writer']) {
        const { pid } = now.find(({ title }) => title.includes(kind)) ?? {};
        expect(before, kind).toContain(pid);
        expect(readFileSync(`/proc/${pid}/status`, 'latin1'), kind).toMatch(/^State:\t[SRD]/m);
      }
      await steady.client.end();
    },
    FREEZE_MS + 180_000,
  );

  it(
    'a pool whose connections have expired by a timeout of the tenant still serves the first query',
    async () => {
      await ask(`ALTER ROLE owner SET idle_session_timeout = ${SETTING_MS}`);
      await resting.renewPool();
      // The test has several rounds, because it is a race whether the timeout or the query is seen first.
      for (let round = 0; round < (MINUTES > 0 ? 1 : 5); round++) {
        expect(await ask(`SELECT ${round}`)).toBe(String(round));
        await instance.suspend();
        await new Promise((resolve) => setTimeout(resolve, SETTING_MS * 1.2));
      }
      expect(await ask("SELECT 'served'")).toBe('served');
      await ask('ALTER ROLE owner RESET idle_session_timeout');
    },
    FREEZE_MS + 180_000,
  );

  it('a frozen database stops cleanly', async () => {
    await ask('CREATE TABLE kept AS SELECT 7 AS n');
    await instance.suspend();
    await instance.stop();
    expect(instance.state).toBe('stopped');
    expect(await ask('SELECT n FROM kept')).toBe('7');
  });
});
