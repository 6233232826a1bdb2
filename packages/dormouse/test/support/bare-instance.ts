import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { chownSync, closeSync, existsSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DatabaseId, Deadline } from '../../src/base/index.ts';
import type { Attachment, Endpoint, Hold, Instance, InstanceState } from '../../src/instance/instance.ts';
import { postgresBinaries } from './plain-postgres.ts';
import { scratch } from './scratch.ts';
import { until } from './until.ts';

/** The `Instance` contract over a real server, driven by hand: it sleeps, dies and comes back when the test says so. */
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
      // It ended while we looked.
    }
  }
  return children;
}

function signalTree(pid: number, name: NodeJS.Signals): void {
  const order = name === 'SIGCONT' ? [...childrenOf(pid), pid] : [pid, ...childrenOf(pid)];
  for (const each of order) {
    try {
      process.kill(each, name);
    } catch {
      // Gone already.
    }
  }
}

/** Starts a server with the three roles. `settings` are server parameters. */
export async function startBareInstance(
  options: { readonly settings?: Readonly<Record<string, string>> } = {},
): Promise<BareInstance> {
  const bin = await postgresBinaries();
  const home = scratch('bare');
  const postgresId = (flag: string): number => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8' }));
  const identity = process.getuid?.() === 0 ? { uid: postgresId('-u'), gid: postgresId('-g') } : undefined;
  if (identity !== undefined) chownSync(home.path, identity.uid, identity.gid);
  const data = join(home.path, 'data');
  const environment = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };
  execFileSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'dormouse', '-A', 'trust', '-E', 'UTF8', '--locale=C', '--no-sync'],
    { ...identity, stdio: 'pipe', cwd: home.path, env: environment },
  );
  execFileSync(join(bin, 'postgres'), ['--single', '-D', data, '-c', 'exit_on_error=on', 'postgres'], {
    ...identity,
    input: ROLES_SQL,
    stdio: ['pipe', 'pipe', 'pipe'],
    cwd: home.path,
    env: environment,
  });

  let server: ChildProcess | undefined;
  let exited: Promise<void> = Promise.resolve();
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
      { ...identity, stdio: ['ignore', log, log], cwd: home.path, env: environment, detached: true },
    );
    closeSync(log);
    server = child;
    exited = new Promise((resolve) => {
      child.once('exit', () => {
        if (server !== child) return;
        server = undefined;
        enter('stopped');
        for (const attachment of attachments) attachment.stopped();
        resolve();
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
      signalTree(instance.postmasterPid, 'SIGCONT');
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
      signalTree(instance.postmasterPid, 'SIGSTOP');
      enter('suspended');
    },
    async stop() {
      if (server === undefined) return;
      if (state === 'suspended') signalTree(instance.postmasterPid, 'SIGCONT');
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
      if (server !== undefined) signalTree(server.pid as number, 'SIGKILL');
      await exited;
    },
    async remove() {
      await instance.crash();
      home.remove();
    },
  };
  await start();
  return instance;
}
