import { join } from 'node:path';
import { cryptoRandom, Deadline, newDatabaseId, silentLogger, systemClock } from '../../src/base/index.ts';
import type { Instance, Instances, RestSettings } from '../../src/instance/index.ts';
import { createPool, type Pool } from '../../src/pool/index.ts';
import { connectSocket } from '../../src/session/index.ts';
import { decodeDataRow } from '../../src/wire/index.ts';
import { prepareDataDirectory } from './data-directory.ts';
import { openTestMachine } from './open-test-machine.ts';
import { openPostgresTestDoor, type TestKey } from './postgres-test-door.ts';
import { scratch } from './scratch.ts';

/**
 * One database over the instances that the platform runs, with a pool and the door for Postgres clients; it rests by
 * its own timers.
 */
export interface RestingInstance {
  readonly instances: Instances;
  readonly instance: Instance;
  readonly owner: TestKey;
  /** Of the owner. */
  readonly pool: Pool;
  /** Puts another pool, without a connection, in its place. */
  renewPool(): Promise<void>;
  /** The first value of the first row, over the pool. */
  ask(sql: string): Promise<string | undefined>;
  close(): Promise<void>;
}

/** Long deadlines, because the whole machine may be slow. */
const ASK_MS = 60_000;

export async function startRestingInstance(name: string, rest: Partial<RestSettings>): Promise<RestingInstance> {
  const home = scratch(name);
  const dataDirectory = join(home.path, 'data');
  await prepareDataDirectory(dataDirectory);
  const machine = await openTestMachine({ dataDirectory, rest });
  const { instances, pgMajor } = machine;
  try {
    await instances.recover([]);
    const instance = await instances.create({
      id: newDatabaseId(cryptoRandom),
      kind: 'managed',
      name: 'main',
      pgMajor,
      createdAtMs: 0,
    });
    const door = await openPostgresTestDoor(instance, undefined);
    const open = (): Pool =>
      createPool({
        ...{ instance, role: 'owner', clock: systemClock, random: cryptoRandom },
        ...{ connect: connectSocket, log: silentLogger },
      });
    let pool = open();
    return {
      ...{ instances, instance, owner: door.key('owner') },
      get pool() {
        return pool;
      },
      async renewPool() {
        await pool.close();
        pool = open();
      },
      async ask(sql) {
        const lease = await pool.acquire({ deadline: Deadline.in(systemClock, ASK_MS) });
        try {
          const { rows } = await lease.execute(sql, []);
          return rows[0] && decodeDataRow(rows[0])[0]?.toString();
        } finally {
          lease.release();
        }
      },
      async close() {
        await door.close();
        await pool.close();
        await machine.close();
        home.remove();
      },
    };
  } catch (error) {
    await machine.close();
    home.remove();
    throw error;
  }
}
