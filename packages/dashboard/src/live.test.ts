import { expect, it } from 'vitest';
import type { Change } from './databases.ts';
import { type EventStream, Live } from './live.ts';

class Stream implements EventStream {
  onopen: ((event: Event) => void) | null = null;
  onerror: ((event: Event) => void) | null = null;
  closed = false;
  readonly #listeners = new Map<string, (event: MessageEvent<string>) => void>();
  addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void {
    this.#listeners.set(type, listener);
  }
  close(): void {
    this.closed = true;
  }
  open(): void {
    this.onopen?.(new Event('open'));
  }
  fail(): void {
    this.onerror?.(new Event('error'));
  }
  tell(type: string, data: unknown): void {
    this.#listeners.get(type)?.(new MessageEvent(type, { data: JSON.stringify(data) }));
  }
}

/** A live connection whose network and time the test controls. */
function live() {
  const streams: Stream[] = [];
  const log: string[] = [];
  const changes: Change[] = [];
  const timers: { ms: number; run: () => void }[] = [];
  let session: boolean | Error = true;
  const connection = new Live({
    open: () => {
      const stream = new Stream();
      streams.push(stream);
      return stream;
    },
    hasSession: async () => {
      if (session instanceof Error) throw session;
      return session;
    },
    after: (ms, run) => {
      const timer = { ms, run };
      timers.push(timer);
      return () => {
        const at = timers.indexOf(timer);
        if (at >= 0) timers.splice(at, 1);
      };
    },
    onChange: (change) => changes.push(change),
    onLink: (link) => log.push(link),
    onSignedOut: () => log.push('signed out'),
  });
  const settle = () => new Promise((resolve) => setTimeout(resolve, 0));
  return {
    connection,
    streams,
    log,
    changes,
    timers,
    last: () => streams.at(-1) as Stream,
    setSession: (value: boolean | Error) => {
      session = value;
    },
    /** Lets the pending wait pass; gives its length. */
    pass: async () => {
      const timer = timers.shift();
      timer?.run();
      await settle();
      return timer?.ms;
    },
  };
}

it('every kind of change is passed on', () => {
  const { last, changes } = live();
  last().tell('databases', { databases: [] });
  last().tell('state', { id: 'a', name: 'x', state: 'running' });
  last().tell('created', { id: 'b' });
  last().tell('deleted', { id: 'a' });
  expect(changes).toEqual([
    { kind: 'databases', databases: [] },
    { kind: 'state', id: 'a', state: 'running' },
    { kind: 'created', database: { id: 'b' } },
    { kind: 'deleted', id: 'a' },
  ]);
});

it('a lost connection is retried with waits that grow to a maximum, until it is back', async () => {
  const { last, log, streams, pass, setSession } = live();
  last().open();
  last().fail();
  expect(last().closed).toBe(true);
  setSession(new Error('unreachable'));
  const waits = [];
  for (let i = 0; i < 6; i++) waits.push(await pass());
  expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 8000]);
  expect(streams).toHaveLength(1);
  setSession(true);
  expect(await pass()).toBe(8000);
  expect(streams).toHaveLength(2);
  last().open();
  last().fail();
  expect(await pass()).toBe(500);
  expect(log.filter((entry) => entry === 'live')).toHaveLength(2);
});

it('an ended session ends the retries', async () => {
  const { last, log, streams, timers, pass, setSession, connection } = live();
  last().fail();
  setSession(false);
  await pass();
  expect(log).toEqual(['lost', 'signed out']);
  connection.refresh();
  expect([streams.length, timers.length]).toEqual([1, 0]);
});

it('events of a replaced stream are ignored, and two streams are never open', async () => {
  const { connection, streams, changes, timers, log } = live();
  streams[0]?.fail();
  connection.refresh();
  expect(timers).toHaveLength(0);
  streams[0]?.tell('deleted', { id: 'a' });
  streams[0]?.fail();
  expect(changes).toEqual([]);
  expect(log).toEqual(['lost']);
  connection.stop();
  expect(streams.filter((stream) => !stream.closed)).toHaveLength(0);
});
