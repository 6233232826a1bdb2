import { fileURLToPath } from 'node:url';
import { afterEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { seeded, seedFromEnvironment } from '../../../test/support/seeded.ts';
import { DormouseError, type MinimalReply, silentLogger } from '../../base/index.ts';
import type { FromThread, LargeBodyThreadData, ToThread } from './large-body-protocol.ts';
import { type Job, LargeBodyThreads } from './large-body-threads.ts';

const THREAD = fileURLToPath(new URL('../../../test/support/scripted-thread.mjs', import.meta.url));

interface Script {
  /** How long the thread takes to reply. */
  readonly ms: number;
  readonly how: 'reply' | 'break' | 'exit';
  readonly urgent?: boolean;
  readonly bytes?: number;
}

/** A request whose thread follows a script. Records when the request began and ended, and on which thread it ran. */
class ScriptedJob implements Job {
  static #count = 0;
  readonly id = ++ScriptedJob.#count;
  readonly bytes: number;
  readonly urgent: boolean;
  readonly reply: Promise<MinimalReply>;
  readonly owner: string;
  readonly #script: Script;
  readonly #events: string[];
  #settle!: { resolve(reply: MinimalReply): void; reject(error: Error): void };
  kill: ((reason: string) => void) | undefined;
  ended = false;
  ends = 0;
  thread: string | undefined;
  error: DormouseError | undefined;

  constructor(owner: string, script: Script, events: string[]) {
    this.owner = owner;
    this.#script = script;
    this.#events = events;
    this.urgent = script.urgent ?? false;
    this.bytes = script.bytes ?? 1;
    this.reply = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.reply.catch(() => undefined);
  }

  begin(link: { post(message: ToThread): void; kill(reason: string): void }): void {
    this.kill = link.kill;
    // Recorded when the request is given to its thread: the messages of two threads arrive in any order.
    this.#events.push(`begin ${this.id}`);
    link.post({ to: 'begin', job: this.id, request: this.#script } as unknown as ToThread);
  }

  take(): void {}

  done({ outcome }: Extract<FromThread, { from: 'done' }>): void {
    if (!('reply' in outcome)) throw new Error('scripted threads only reply');
    this.thread = new TextDecoder().decode(outcome.reply.body);
    this.#end();
    this.#settle.resolve(outcome.reply);
  }

  lost(error: DormouseError): void {
    if (this.ended) return;
    this.error = error;
    this.#end();
    this.#settle.reject(error);
  }

  /** Ends the job as a client that hangs up does. */
  giveUp(): void {
    this.lost(new DormouseError('interrupted'));
  }

  #end(): void {
    this.ended = true;
    this.ends++;
    this.#events.push(`end ${this.id}`);
  }
}

let threads: LargeBodyThreads | undefined;
afterEach(() => threads?.close());

function setUp(): { submit(owner: string, script: Script): ScriptedJob; events: string[]; clock: ManualClock } {
  const clock = new ManualClock();
  const prepare = async (): Promise<LargeBodyThreadData> => ({}) as LargeBodyThreadData;
  const made = new LargeBodyThreads({ file: THREAD, prepare, clock, log: silentLogger });
  threads = made;
  const events: string[] = [];
  return {
    events,
    clock,
    submit(owner, script) {
      const job = new ScriptedJob(owner, script, events);
      made.submit(owner, job);
      return job;
    },
  };
}

const over = (jobs: readonly ScriptedJob[]): Promise<unknown> => Promise.allSettled(jobs.map(({ reply }) => reply));

describe('a thread for large bodies', () => {
  it('a thread for large bodies serves one database at a time, whatever ends the thread, and every request ends once', async () => {
    const random = seeded(seedFromEnvironment());
    const { submit, events } = setUp();
    const jobs: ScriptedJob[] = [];
    for (let round = 0; round < 150; round++) {
      const how = random.next() < 0.05 ? 'exit' : random.next() < 0.08 ? 'break' : 'reply';
      const job = submit(`db_${random.below(6)}`, { ms: random.below(8), how, urgent: random.next() < 0.1 });
      jobs.push(job);
      if (random.next() < 0.1) job.giveUp();
      if (random.next() < 0.02) random.pick(jobs).kill?.('a test');
      if (random.next() < 0.3) await new Promise((resolve) => setTimeout(resolve, random.below(15)));
    }
    await over(jobs);
    const seed = `DORMOUSE_SEED=${random.seed}`;
    const wrong = jobs.filter(({ ends }) => ends !== 1);
    expect(wrong, seed).toEqual([]);
    // On each thread, the requests that had begun and not ended were of one database.
    const byId = new Map(jobs.map((job) => [job.id, job]));
    const running = new Map<string, Set<ScriptedJob>>();
    let most = 0;
    for (const event of events) {
      const [what, id] = event.split(' ') as [string, string];
      const job = byId.get(Number(id)) as ScriptedJob;
      if (job.thread === undefined) continue;
      const set = running.get(job.thread) ?? new Set();
      running.set(job.thread, set);
      if (what === 'begin') set.add(job);
      else set.delete(job);
      expect(new Set([...set].map(({ owner }) => owner)).size, seed).toBeLessThanOrEqual(1);
      most = Math.max(most, [...running.values()].filter(({ size }) => size > 0).length);
    }
    expect(most, seed).toBeGreaterThan(1);
    expect(most, seed).toBeLessThanOrEqual(3);
    // The requests that failed shared a thread that was ended, or were given up by their client.
    for (const { error } of jobs) {
      if (error !== undefined) expect(['interrupted', 'query_invalid'], seed).toContain(error.code);
    }
  });

  it('a thread for large bodies goes to a fourth database once the requests that one of three databases began have ended', async () => {
    const { submit, events } = setUp();
    const first = ['a', 'b', 'c'].map((owner) => submit(owner, { ms: 150, how: 'reply' }));
    const fourth = submit('d', { ms: 1, how: 'reply' });
    // More requests of the databases that have a thread: they wait until the fourth database has had its turn.
    const more = ['a', 'b', 'c'].map((owner) => submit(owner, { ms: 1, how: 'reply' }));
    await over([...first, fourth, ...more]);
    expect([...first, fourth, ...more].map(({ error }) => error)).toEqual(Array(7).fill(undefined));
    const firstEnd = Math.min(...first.map(({ id }) => events.indexOf(`end ${id}`)));
    expect(events.indexOf(`begin ${fourth.id}`)).toBeGreaterThan(firstEnd);
    expect(first.map(({ thread }) => thread)).toContain(fourth.thread);
    const own = first.find(({ thread }) => thread === fourth.thread) as ScriptedJob;
    const ownNext = more.find(({ owner }) => owner === own.owner) as ScriptedJob;
    expect(events.indexOf(`begin ${ownNext.id}`)).toBeGreaterThan(events.indexOf(`begin ${fourth.id}`));
  });

  it('when a thread for large bodies ends, the requests of its own database fail, and those of no other database', async () => {
    const { submit } = setUp();
    const ending = submit('a', { ms: 30, how: 'exit' });
    const beside = submit('a', { ms: 5_000, how: 'reply' });
    const other = submit('b', { ms: 200, how: 'reply' });
    await over([ending, beside, other]);
    expect([ending.error?.code, beside.error?.code, other.error]).toEqual([
      'query_invalid',
      'query_invalid',
      undefined,
    ]);
    const next = submit('a', { ms: 1, how: 'reply' });
    await expect(next.reply).resolves.toMatchObject({ status: 200 });
  });

  it('a thread for large bodies whose compiler has panicked ends the requests that the thread has, and takes no new requests', async () => {
    const { submit } = setUp();
    const long = submit('a', { ms: 200, how: 'reply' });
    const breaking = submit('a', { ms: 1, how: 'break' });
    await breaking.reply;
    const next = submit('a', { ms: 1, how: 'reply' });
    await over([long, next]);
    expect([long.error, next.error]).toEqual([undefined, undefined]);
    expect(long.thread).toBe(breaking.thread);
    expect(next.thread).not.toBe(breaking.thread);
  });

  it('a thread for large bodies ends after a while without a request', async () => {
    const { submit, clock } = setUp();
    const one = submit('a', { ms: 1, how: 'reply' });
    await one.reply;
    const two = submit('b', { ms: 1, how: 'reply' });
    await two.reply;
    expect(two.thread).toBe(one.thread);
    await new Promise((resolve) => setImmediate(resolve));
    expect(clock.timers).toBe(1);
    clock.advance(60_000);
    const three = submit('a', { ms: 1, how: 'reply' });
    await three.reply;
    expect(three.thread).not.toBe(one.thread);
  });
});

it('a request of an open transaction goes before the requests that wait', async () => {
  const { submit, events } = setUp();
  // As many requests as a thread takes at a time.
  const begun = Array.from({ length: 32 }, () => submit('a', { ms: 100, how: 'reply' }));
  const waits = submit('a', { ms: 1, how: 'reply' });
  const urgent = submit('a', { ms: 1, how: 'reply', urgent: true });
  await over([...begun, waits, urgent]);
  expect(events.indexOf(`end ${urgent.id}`)).toBeLessThan(events.indexOf(`begin ${waits.id}`));
});

it('a database that fills the room for waiting requests is refused, and not the database that comes next', async () => {
  const { submit } = setUp();
  const piece = 16 * 2 ** 20;
  for (const owner of ['a', 'b', 'c']) submit(owner, { ms: 5_000, how: 'reply', bytes: piece });
  const greedy = Array.from({ length: 16 }, () => submit('greedy', { ms: 1, how: 'reply', bytes: piece }));
  expect(() => submit('greedy', { ms: 1, how: 'reply', bytes: 1 })).toThrow(
    expect.objectContaining({ code: 'queue_full' }),
  );
  const modest = Array.from({ length: 3 }, (_, i) => submit(`modest${i}`, { ms: 1, how: 'reply', bytes: piece }));
  expect(modest.map(({ ended }) => ended)).toEqual([false, false, false]);
  expect(greedy.map(({ error }) => error?.code)).toEqual([
    ...Array(13).fill(undefined),
    ...Array(3).fill('queue_full'),
  ]);
});

it('waiting requests have a bound in bytes, and fail when the engine closes', async () => {
  const { submit } = setUp();
  const half = 128 * 2 ** 20;
  const begun = submit('a', { ms: 5_000, how: 'reply', bytes: half });
  const owners = ['b', 'c'].map((owner) => submit(owner, { ms: 5_000, how: 'reply', bytes: half }));
  const waits = submit('e', { ms: 1, how: 'reply', bytes: 2 * half });
  expect(() => submit('f', { ms: 1, how: 'reply', bytes: 1 })).toThrow(expect.objectContaining({ code: 'queue_full' }));
  // A request that its client gave up makes room.
  waits.giveUp();
  await new Promise((resolve) => setImmediate(resolve));
  submit('f', { ms: 1, how: 'reply', bytes: 1 });
  await threads?.close();
  expect([begun, ...owners].map(({ error }) => error?.code)).toEqual(Array(3).fill('shutting_down'));
  expect(() => submit('a', { ms: 1, how: 'reply' })).toThrow(expect.objectContaining({ code: 'shutting_down' }));
});
