import { spawn } from 'node:child_process';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type {
  InstanceState,
  InstancesOptions,
  ProcessMachineOptions,
  RecoverResult,
  ServersDescription,
} from '../../src/instance/index.ts';

/** What an owner tells of an instance. */
export interface Described {
  readonly state: InstanceState;
  readonly socket: string;
  readonly generation: number;
  readonly directory: string;
}

/** What an owner tells of a branch that it made. */
export interface Branched extends Described {
  readonly way: 'stream' | 'clone' | 'files';
  readonly pausedMs: number;
}

type OwnerOptions = Pick<
  ProcessMachineOptions,
  'dataDirectory' | 'pgUser' | 'pgBins' | 'trustExtensions' | 'freezer' | 'sparesMax' | 'isolation'
> &
  Pick<InstancesOptions, 'rest'>;

/** A failure that the owner reports, with the code of a `DormouseError`. */
export class OwnerError extends Error {
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** A process of its own that owns the instances of one data directory: a platform that can be killed. */
export interface Owner {
  readonly pid: number;
  prepare(): Promise<ServersDescription>;
  recover(ids: readonly string[]): Promise<RecoverResult>;
  create(id: string): Promise<Described>;
  branch(source: string, id: string, atRest?: boolean, throwAway?: boolean): Promise<Branched>;
  hold(id: string, ms?: number): Promise<Described>;
  release(id: string): Promise<Described>;
  suspend(id: string): Promise<Described>;
  stop(id: string): Promise<Described>;
  /** Kills the postmaster, and takes a new hold in the same turn of the event loop in which its exit is reported. */
  crash(id: string): Promise<Described>;
  wake(id: string): Promise<Described>;
  state(id: string): Promise<Described>;
  destroy(id: string): Promise<void>;
  /** Stops all servers, then the process. */
  close(): Promise<void>;
  /** kill -9; done once it is gone. */
  kill(): Promise<void>;
}

/** Starts an owner; rejects with what opening the directory failed with. */
export async function startOwner(
  options: OwnerOptions,
  identity?: { readonly uid: number; readonly gid: number },
): Promise<Owner> {
  const file = fileURLToPath(new URL('./instance-owner.mjs', import.meta.url));
  const child = spawn(process.execPath, [file], {
    ...identity,
    stdio: ['pipe', 'pipe', 'inherit'],
    cwd: '/',
  });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let alive = true;
  void exited.then(() => {
    alive = false;
    for (const { reject } of waiting.values()) reject(new OwnerError('owner_killed', 'the owner is gone'));
    waiting.clear();
  });
  child.stdin.on('error', () => {});
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { sequence, value, code, message } = JSON.parse(line) as {
      sequence: number;
      value?: unknown;
      code?: string;
      message?: string;
    };
    const one = waiting.get(sequence);
    waiting.delete(sequence);
    if (code === undefined) one?.resolve(value);
    else one?.reject(new OwnerError(code, message ?? ''));
  });
  let sequence = 0;
  const ask = <T>(command: string, rest: Readonly<Record<string, unknown>> = {}): Promise<T> =>
    new Promise<T>((resolve, reject) => {
      if (!alive) return reject(new OwnerError('owner_killed', 'the owner is gone'));
      sequence += 1;
      waiting.set(sequence, { resolve: resolve as (value: unknown) => void, reject });
      child.stdin.write(`${JSON.stringify({ sequence, command, ...rest })}\n`);
    });
  const end = async (): Promise<void> => {
    child.stdin.end();
    await exited;
  };
  try {
    await ask('open', { options });
  } catch (error) {
    await end();
    throw error;
  }
  return {
    pid: child.pid as number,
    prepare: () => ask('prepare'),
    recover: (ids) => ask('recover', { ids }),
    create: (id) => ask('create', { id }),
    branch: (source, id, atRest, throwAway) => ask('branch', { source, id, atRest, throwAway }),
    hold: (id, ms) => ask('hold', { id, ms }),
    release: (id) => ask('release', { id }),
    suspend: (id) => ask('suspend', { id }),
    stop: (id) => ask('stop', { id }),
    crash: (id) => ask('crash', { id }),
    wake: (id) => ask('wake', { id }),
    state: (id) => ask('state', { id }),
    destroy: (id) => ask('destroy', { id }),
    async close() {
      await ask('close');
      await end();
    },
    async kill() {
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** A connected client of an instance's server. The loss of the server does not fail the test. */
export async function connectTo(socket: string, user = 'owner'): Promise<pg.Client> {
  const client = new pg.Client({ host: dirname(socket), port: 5432, user, database: 'postgres' });
  client.on('error', () => {});
  await client.connect();
  return client;
}

/** Runs one statement on a connection of its own. */
export async function queryOnce(socket: string, sql: string, user = 'owner'): Promise<Record<string, unknown>[]> {
  const client = await connectTo(socket, user);
  try {
    return (await client.query(sql)).rows as Record<string, unknown>[];
  } finally {
    await client.end();
  }
}

/** An id that `n` makes. */
export function testId(n: number): string {
  return `db_${String(n).padStart(20, '0')}`;
}
