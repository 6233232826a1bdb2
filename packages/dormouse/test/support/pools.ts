import { afterAll, beforeAll } from 'vitest';
import { cryptoRandom, Deadline, silentLogger, systemClock } from '../../src/base/index.ts';
import { createPool, type Lease, type Pool, type PoolOptions } from '../../src/pool/index.ts';
import { connectSocket } from '../../src/session/index.ts';
import { decodeDataRow } from '../../src/wire/index.ts';
import { type BareInstance, startBareInstance } from './bare-instance.ts';

/** A real server for the tests of one file, and pools over it that are closed with it. */
export interface PoolWorld {
  /** The server, from `beforeAll` on. */
  readonly instance: BareInstance;
  open(options?: Partial<PoolOptions>): Pool;
}

/** Registers the hooks that start and remove it. */
export function usePools(): PoolWorld {
  let instance: BareInstance | undefined;
  const pools: Pool[] = [];
  beforeAll(async () => {
    instance = await startBareInstance();
  });
  afterAll(async () => {
    await Promise.all(pools.map((pool) => pool.close()));
    await instance?.remove();
  });
  return {
    get instance() {
      if (instance === undefined) throw new Error('the server is not started yet');
      return instance;
    },
    open(options = {}) {
      const pool = createPool({
        instance: this.instance,
        role: 'owner',
        clock: systemClock,
        random: cryptoRandom,
        connect: connectSocket,
        log: silentLogger,
        ...options,
      });
      pools.push(pool);
      return pool;
    },
  };
}

export const soon = (ms = 20_000): Deadline => Deadline.in(systemClock, ms);
export const lease = (pool: Pool): Promise<Lease> => pool.acquire({ deadline: soon() });

/** The rows of one statement, decoded as text. */
export async function ask(
  on: Lease,
  sql: string,
  parameters: readonly (string | Uint8Array | null)[] = [],
): Promise<(string | null)[][]> {
  const { rows } = await on.execute(sql, parameters);
  return rows.map((row) => decodeDataRow(row).map((value) => value?.toString('utf8') ?? null));
}
