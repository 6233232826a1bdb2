import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Writer } from './life-writers.ts';
import type { DatabaseUrls, Platform } from './platform.ts';
import { runSql } from './push-schema.ts';
import type { Seeded } from './seeded.ts';
import { until } from './until.ts';

/** What a fault may act on. */
export interface Victim {
  readonly platform: Platform;
  readonly database: DatabaseUrls;
  readonly writers: readonly Writer[];
  readonly random: Seeded;
}

/** A failure, or a command at a bad time. Resolves when the platform answers again. */
export interface Fault {
  readonly name: string;
  /** How often it is chosen beside the others. */
  readonly weight: number;
  run(victim: Victim): Promise<void>;
}

interface DatabaseState {
  readonly id: string;
  readonly name: string;
  readonly state: string;
}

/** A call of the management API. */
export async function api(platform: Platform, method: string, path: string, body?: object): Promise<Response> {
  return fetch(`${platform.http}/api${path}`, {
    method,
    headers: { authorization: `Bearer ${platform.adminToken}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
}

async function command(
  victim: Victim,
  what: 'suspend' | 'stop' | 'wake',
  otherwise: readonly string[] = [],
): Promise<void> {
  const reply = await api(victim.platform, 'POST', `/databases/${victim.database.id}/${what}`);
  const text = await reply.text();
  const code = reply.status === 200 ? undefined : (JSON.parse(text) as { code: string }).code;
  if (code !== undefined && !otherwise.includes(code)) throw new Error(`${what}: ${reply.status} ${text}`);
}

export async function stateOf(platform: Platform, id: string): Promise<string> {
  const reply = await api(platform, 'GET', `/databases/${id}`);
  const text = await reply.text();
  if (reply.status !== 200) throw new Error(`its state: ${reply.status} ${text}`);
  return (JSON.parse(text) as DatabaseState).state;
}

function postmasterOf({ platform, database }: Victim): number | undefined {
  try {
    const text = readFileSync(join(platform.data, 'databases', database.id, 'process.json'), 'utf8');
    return (JSON.parse(text) as { pid: number }).pid;
  } catch {
    return undefined;
  }
}

/** Children of a process with their titles, as `ps` shows them. */
function childrenOf(pid: number): { pid: number; title: string }[] {
  const found: { pid: number; title: string }[] = [];
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
      if (parent !== pid) continue;
      found.push({ pid: Number(entry), title: readFileSync(`/proc/${entry}/cmdline`, 'utf8').replaceAll('\0', ' ') });
    } catch {}
  }
  return found;
}

function kill(pid: number | undefined): void {
  if (pid === undefined) throw new Error('there is no process to kill');
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    // The process ended by itself a moment ago.
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

/** Kills one of the server's processes, once there is one: the fault must take place. */
async function killChild(victim: Victim, title: RegExp): Promise<void> {
  const pid = await until(
    () => {
      const postmaster = postmasterOf(victim);
      const children =
        postmaster === undefined ? [] : childrenOf(postmaster).filter((child) => title.test(child.title));
      return children.length > 0 && victim.random.pick(children).pid;
    },
    { what: `a process like ${title}` },
  );
  kill(pid);
}

async function killPostmaster(victim: Victim): Promise<void> {
  kill(await until(() => postmasterOf(victim), { what: 'a postmaster' }));
}

async function restart(victim: Victim): Promise<void> {
  await victim.platform.start();
}

/** With the writers quiet, waits until the database rests by itself. */
async function rested(victim: Victim, states: readonly string[]): Promise<void> {
  await Promise.all(victim.writers.map((writer) => writer.pause()));
  let state = '';
  await until(
    async () => {
      state = await stateOf(victim.platform, victim.database.id);
      // It may have gone deeper while the last writer gave up.
      if (state === 'stopped' && !states.includes(state)) await command(victim, 'wake');
      return states.includes(state);
    },
    { what: `the idle database is ${states.join(' or ')}` },
  ).catch((error: Error) => {
    throw new Error(`${error.message}; it is ${state}`);
  });
}

function resume(victim: Victim): void {
  for (const writer of victim.writers) writer.resume();
}

/** All faults that the test can cause. */
export const FAULTS: readonly Fault[] = [
  {
    name: 'kill -9 of the platform',
    weight: 4,
    async run(victim) {
      await victim.platform.kill9();
      await restart(victim);
    },
  },
  {
    name: 'kill -9 of platform and Postgres',
    weight: 3,
    async run(victim) {
      const postmaster = await until(() => postmasterOf(victim), { what: 'a postmaster' });
      const killed = victim.platform.kill9();
      kill(postmaster);
      await killed;
      await restart(victim);
    },
  },
  {
    name: 'kill -9 of the platform while it starts',
    weight: 2,
    async run(victim) {
      await victim.platform.kill9();
      const starting = victim.platform.start().catch(() => {});
      // Anywhere between its first line and its last.
      await new Promise((resolve) => setTimeout(resolve, victim.random.below(700)));
      await victim.platform.kill9();
      await starting;
      await restart(victim);
    },
  },
  {
    name: 'kill -9 of the platform over a suspended database',
    weight: 2,
    async run(victim) {
      await rested(victim, ['suspended']);
      await victim.platform.kill9();
      resume(victim);
      await restart(victim);
    },
  },
  {
    name: 'a clean restart',
    weight: 2,
    async run(victim) {
      const code = await victim.platform.terminate();
      if (code !== 0) throw new Error(`a clean stop ended with ${code}\n${victim.platform.log()}`);
      await restart(victim);
    },
  },
  { name: 'kill -9 of the postmaster', weight: 4, run: killPostmaster },
  { name: 'kill -9 of a backend', weight: 3, run: (victim) => killChild(victim, / (owner|writer|reader) /) },
  { name: 'kill -9 of the capture', weight: 2, run: (victim) => killChild(victim, /walsender/) },
  { name: 'kill -9 of the checkpointer', weight: 2, run: (victim) => killChild(victim, /checkpointer/) },
  { name: 'kill -9 of the walwriter', weight: 2, run: (victim) => killChild(victim, /walwriter/) },
  // Under writes without end a suspend may not find its moment; then it says so.
  { name: 'a forced suspend', weight: 4, run: (victim) => command(victim, 'suspend', ['database_busy']) },
  { name: 'a forced stop', weight: 4, run: (victim) => command(victim, 'stop') },
  {
    name: 'a forced stop right after a suspend',
    weight: 2,
    async run(victim) {
      await Promise.all([
        command(victim, 'suspend', ['database_busy']),
        command(victim, 'stop'),
        command(victim, 'wake'),
      ]);
    },
  },
  {
    name: 'kill -9 of the platform during a stop',
    weight: 2,
    async run(victim) {
      const stopping = command(victim, 'stop').catch(() => {});
      await new Promise((resolve) => setTimeout(resolve, victim.random.below(60)));
      await victim.platform.kill9();
      await stopping;
      await restart(victim);
    },
  },
  {
    name: 'kill -9 of the postmaster in its sleep',
    weight: 2,
    async run(victim) {
      await rested(victim, ['suspended']);
      await killPostmaster(victim);
      resume(victim);
    },
  },
  {
    name: 'idle until suspended',
    weight: 2,
    async run(victim) {
      await rested(victim, ['suspended', 'stopped']);
      resume(victim);
    },
  },
  {
    name: 'another database comes and goes',
    weight: 3,
    async run({ platform }) {
      const made = await api(platform, 'POST', '/databases', { name: 'second' });
      if (made.status !== 201) throw new Error(`creating another database: ${made.status} ${await made.text()}`);
      const { postgresUrl } = (await made.json()) as DatabaseUrls;
      // Only if it is really new there is no such table.
      await runSql(postgresUrl, 'CREATE TABLE once (v int); INSERT INTO once VALUES (1)');
      const gone = await api(platform, 'DELETE', '/databases/second');
      if (gone.status !== 200) throw new Error(`deleting another database: ${gone.status} ${await gone.text()}`);
    },
  },
  {
    name: 'kill -9 of the platform while another database comes or goes',
    weight: 2,
    async run(victim) {
      const { platform } = victim;
      const making = api(platform, 'POST', '/databases', { name: 'second' }).catch(() => undefined);
      const going = victim.random.below(2) === 0;
      if (going) await making;
      const deleting = going ? api(platform, 'DELETE', '/databases/second').catch(() => undefined) : undefined;
      await new Promise((resolve) => setTimeout(resolve, victim.random.below(going ? 100 : 300)));
      await platform.kill9();
      await Promise.all([making, deleting]);
      await restart(victim);
      // Whole or not at all; and the name is free afterwards.
      const found = await api(platform, 'GET', '/databases/second');
      if (found.status === 200) {
        await runSql(((await found.json()) as DatabaseUrls).postgresUrl, 'CREATE TABLE whole (v int)');
        const gone = await api(platform, 'DELETE', '/databases/second');
        if (gone.status !== 200) throw new Error(`deleting what was left: ${gone.status} ${await gone.text()}`);
      } else if (found.status !== 404) throw new Error(`what was left: ${found.status} ${await found.text()}`);
    },
  },
];

/** A fault by weight. */
export function pickFault(random: Seeded): Fault {
  let left = random.below(FAULTS.reduce((sum, { weight }) => sum + weight, 0));
  for (const fault of FAULTS) {
    left -= fault.weight;
    if (left < 0) return fault;
  }
  throw new Error('weights do not add up');
}
