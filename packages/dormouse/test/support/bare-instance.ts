import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseId, Deadline } from '../../src/base/index.ts';
import { AdminBackends } from '../../src/instance/administration/admin-backends.ts';
import type { Attachment, Endpoint, Hold, Instance, InstanceState } from '../../src/instance/contract/index.ts';
import { type Account, account, initialize, postgresBinaries } from './plain-postgres.ts';
import { copyPrepared } from './prepared.ts';
import { scratch } from './scratch.ts';
import { until } from './until.ts';

/** The `Instance` contract over a real server that suspends, dies and restarts only when the test tells it to. */
export interface BareInstance extends Instance {
  /** Holds taken and not released. */
  readonly holds: number;
  readonly sessions: number;
  /** Starts and thaws that a hold caused. */
  readonly wakes: number;
  readonly postmasterPid: number;
  /** Kills the whole server by SIGKILL and waits until it is gone. */
  crash(): Promise<void>;
  /** Ends the server and removes its files. */
  remove(): Promise<void>;
}

const ENVIRONMENT = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

const ROLES_SQL = [
  'CREATE ROLE owner LOGIN CREATEDB;',
  'CREATE ROLE writer LOGIN IN ROLE pg_read_all_data, pg_write_all_data;',
  'CREATE ROLE reader LOGIN IN ROLE pg_read_all_data;',
  'ALTER DATABASE postgres OWNER TO owner;',
  '',
].join('\n');

function childrenOf(pid: number): number[] {
  const children: number[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      if (Number(stat.slice(stat.lastIndexOf(')') + 4).split(' ')[0]) === pid) children.push(Number(name));
    } catch {
      // The process ended meanwhile.
    }
  }
  return children;
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // Gone already.
  }
}

/** The server is stopped first, so that it forks no more processes while its children are counted. */
function freeze(pid: number): number[] {
  signal(pid, 'SIGSTOP');
  const children = childrenOf(pid);
  for (const child of children) signal(child, 'SIGSTOP');
  return children;
}

function thaw(pid: number): void {
  for (const child of childrenOf(pid)) signal(child, 'SIGCONT');
  signal(pid, 'SIGCONT');
}

function gone(pid: number): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat[stat.lastIndexOf(')') + 2] === 'Z';
  } catch {
    return true;
  }
}

function initializeWithRoles(bin: string, directory: string, identity: Account | undefined): void {
  initialize(bin, directory, 'dormouse', identity);
  execFileSync(join(bin, 'postgres'), ['--single', '-D', directory, '-c', 'exit_on_error=on', 'postgres'], {
    ...identity,
    input: ROLES_SQL,
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: directory,
    env: ENVIRONMENT,
  });
}

/** Starts a server with the three roles. `settings` are server parameters. */
export async function startBareInstance(
  options: { readonly settings?: Readonly<Record<string, string>> } = {},
): Promise<BareInstance> {
  const bin = await postgresBinaries();
  const home = scratch('bare');
  const identity = account();
  if (identity !== undefined) chownSync(home.path, identity.uid, identity.gid);
  const data = join(home.path, 'data');
  await copyPrepared('bare-instance', data, async (directory) => initializeWithRoles(bin, directory, identity));

  let server: ChildProcess | undefined;
  let exited: Promise<void> = Promise.resolve();
  /** Children of a killed server: it has ended once they have. */
  let orphans: number[] = [];
  let state: InstanceState = 'stopped';
  let generation = 0;
  let holds = 0;
  let sessions = 0;
  let wakes = 0;
  let waking: Promise<void> | undefined;
  const attachments = new Set<Attachment>();
  const listeners = new Set<(state: InstanceState, previous: InstanceState) => void>();
  const settings = {
    fsync: 'off',
    max_connections: '60',
    restart_after_crash: 'off',
    io_method: 'sync',
    wal_level: 'logical',
    ...options.settings,
  };
  const endpoint: Endpoint = { kind: 'unix', path: join(home.path, '.s.PGSQL.5432') };

  const enter = (next: InstanceState): void => {
    const previous = state;
    state = next;
    for (const listener of listeners) listener(next, previous);
  };
  const start = async (): Promise<void> => {
    enter('starting');
    const log = openSync(join(home.path, 'log'), 'a');
    const child = spawn(
      join(bin, 'postgres'),
      [
        ...['-D', data, '-c', 'listen_addresses=', '-k', home.path],
        ...Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]),
      ],
      { ...identity, stdio: ['ignore', log, log], cwd: home.path, env: ENVIRONMENT, detached: true },
    );
    closeSync(log);
    server = child;
    exited = new Promise((resolve) => {
      child.once('exit', () => {
        if (server !== child) return;
        server = undefined;
        if (state !== 'stopping') enter('stopping');
        void until(() => orphans.every(gone), { what: 'the end of the children' }).then(() => {
          enter('stopped');
          for (const attachment of attachments) attachment.stopped();
          resolve();
        });
      });
    });
    await until(
      () => {
        if (child.exitCode !== null) throw new Error(readFileSync(join(home.path, 'log'), 'utf8'));
        if (!existsSync(join(data, 'postmaster.pid'))) return false;
        const lines = readFileSync(join(data, 'postmaster.pid'), 'latin1').split('\n');
        return lines[0] === String(child.pid) && lines[7]?.trim() === 'ready';
      },
      { what: 'a server that accepts' },
    );
    generation += 1;
    enter('running');
    for (const attachment of attachments) attachment.started();
  };
  const wake = async (): Promise<void> => {
    if (state === 'running') return;
    wakes += 1;
    if (state === 'suspended') {
      enter('waking');
      thaw(instance.postmasterPid);
      enter('running');
    } else {
      await exited;
      await start();
    }
  };
  const take = (): Hold => {
    holds += 1;
    let released = false;
    return {
      release() {
        if (!released) holds -= 1;
        released = true;
      },
    };
  };

  const instance: BareInstance = {
    databaseId: 'db_00000000000000000000' as DatabaseId,
    get state() {
      return state;
    },
    endpoint,
    credentials: (user) => ({ user, database: 'postgres' }),
    backends: new AdminBackends(() => endpoint),
    get generation() {
      return generation;
    },
    get holds() {
      return holds;
    },
    get sessions() {
      return sessions;
    },
    get wakes() {
      return wakes;
    },
    get postmasterPid() {
      return server?.pid as number;
    },
    tryHold: () => (state === 'running' ? take() : undefined),
    async hold(_deadline: Deadline) {
      waking ??= wake().finally(() => {
        waking = undefined;
      });
      await waking;
      return take();
    },
    openSession() {
      sessions += 1;
      let released = false;
      return {
        release() {
          if (!released) sessions -= 1;
          released = true;
        },
      };
    },
    async suspend() {
      enter('suspending');
      await Promise.all([...attachments].map((attachment) => attachment.suspending?.()));
      freeze(instance.postmasterPid);
      enter('suspended');
    },
    async stop() {
      if (server === undefined) return;
      if (state === 'suspended') thaw(instance.postmasterPid);
      enter('stopping');
      await Promise.all([...attachments].map((attachment) => attachment.stopping()));
      server?.kill('SIGINT');
      await exited;
    },
    wake,
    attach(attachment) {
      attachments.add(attachment);
      return () => attachments.delete(attachment);
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    async crash() {
      if (server !== undefined) {
        const { pid } = server as { pid: number };
        orphans = freeze(pid);
        for (const each of [pid, ...orphans]) signal(each, 'SIGKILL');
      }
      await exited;
    },
    async remove() {
      home.remove();
      await exited;
    },
  };
  await start();
  return instance;
}
