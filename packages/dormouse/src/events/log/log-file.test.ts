import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Database from 'libsql';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { cryptoRandom } from '../../base/index.ts';
import { type AppendBatch, type NewTransaction, OMITTED } from './event-log.ts';
import { DEFAULT_LOG_LIMITS, type LogLimits } from './log-bounds.ts';
import { LogFile } from './log-file.ts';
import { migrate } from './log-schema.ts';
import { EVENT_CHARACTERS_MAX, slicesOf } from './slices.ts';

const RELATION = { schema: 'public', name: 'users', columns: [{ name: 'id', typeOid: 23, key: true }] };
const OTHER = { schema: 'public', name: 'posts', columns: [{ name: 'id', typeOid: 23, key: true }] };

let directory: string;
let open: LogFile[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'dormouse-log-'));
  open = [];
});
afterEach(() => {
  for (const file of open) file.close();
  rmSync(directory, { recursive: true, force: true });
});

function logFile(limits: Partial<LogLimits> = {}): LogFile {
  const file = new LogFile(join(directory, 'events.db'), { ...DEFAULT_LOG_LIMITS, ...limits }, cryptoRandom);
  open.push(file);
  return file;
}

function transaction(
  lsn: bigint,
  count: number,
  options: { firstIndex?: number; relation?: number } = {},
): NewTransaction {
  const firstIndex = options.firstIndex ?? 0;
  return {
    lsn: lsn,
    xid: Number(lsn),
    committedAtMs: Number(lsn),
    firstIndex,
    events: Array.from({ length: count }, (_, i) => ({
      relation: options.relation ?? 0,
      operation: 'insert' as const,
      before: undefined,
      after: [`${lsn}.${firstIndex + i}`],
    })),
  };
}

function batch(endLsn: bigint | undefined, ...transactions: NewTransaction[]): AppendBatch {
  return { relations: [RELATION, OTHER], transactions, endLsn };
}

const START = { ordinal: 1, lsn: 0n, index: 0 };
function values(file: LogFile, after = START, tables?: { schema: string; name: string }[]): unknown[] {
  const out: unknown[] = [];
  for (;;) {
    const result = file.read({ after, limit: 100, ...(tables === undefined ? {} : { tables }) });
    for (const event of result.events) out.push(event.operation === 'gap' ? 'gap' : event.after?.[0]);
    if (result.atTail) return out;
    after = result.upTo;
  }
}

test('events are read in commit order with their positions, also after the file was opened again', () => {
  const file = logFile();
  file.begin({ systemId: '7', timeline: 1 }, 50n);
  file.append(batch(120n, transaction(100n, 2), transaction(110n, 1)));
  const again = logFile();
  expect(values(again)).toEqual(['100.0', '100.1', '110.0']);
  expect(again.state()).toMatchObject({ storedLsn: 120n, events: 3, history: { systemId: '7', timeline: 1 } });
  expect(values(again, { ordinal: 1, lsn: 100n, index: 0 })).toEqual(['100.1', '110.0']);
  expect(again.state().epoch).toBe(file.state().epoch);
});

test('the same transaction cannot be appended twice, and a failed append leaves nothing', () => {
  const file = logFile();
  file.append(batch(120n, transaction(100n, 2)));
  expect(() => file.append(batch(140n, transaction(130n, 1), transaction(100n, 1)))).toThrow();
  expect(values(file)).toEqual(['100.0', '100.1']);
  expect(file.state()).toMatchObject({ storedLsn: 120n, events: 2 });
});

test('pieces of a transaction are invisible until the transaction is complete, and are dropped if the transaction is never complete', () => {
  const file = logFile();
  file.append(batch(110n, transaction(100n, 1)));
  file.append(batch(undefined, transaction(200n, 3)));
  expect(values(file)).toEqual(['100.0']);
  expect(file.state().storedLsn).toBe(110n);
  file.discardPending();
  expect(file.state().events).toBe(1);
  file.append(batch(undefined, transaction(200n, 2)));
  file.append(batch(210n, transaction(200n, 1, { firstIndex: 2 })));
  expect(values(file)).toEqual(['100.0', '200.0', '200.1', '200.2']);
});

test('a read of some tables gives only their events and gaps, and moves on past the others', () => {
  const file = logFile();
  file.begin({ systemId: '7', timeline: 1 }, 1n);
  file.append(batch(110n, transaction(100n, 9000), transaction(101n, 1, { relation: 1 })));
  expect(values(file, START, [OTHER])).toEqual(['101.0']);
  const first = file.read({ after: START, limit: 10, tables: [OTHER] });
  expect(first.events).toEqual([]);
  expect(first.atTail).toBe(false);
  file.newEpoch(5);
  expect(values(file, START, [OTHER])).toEqual(['101.0', 'gap']);
});

test('the oldest events are dropped when there are too many, and a read of them fails with stream_gone', () => {
  const file = logFile({ eventsMax: 100 });
  for (let lsn = 1n; lsn <= 150n; lsn++) file.append(batch(lsn * 10n + 5n, transaction(lsn * 10n, 1)));
  expect(file.state().events).toBeLessThanOrEqual(100);
  expect(() => file.read({ after: START, limit: 10 })).toThrow(expect.objectContaining({ code: 'stream_gone' }));
  expect(values(file, file.state().floor)).toHaveLength(file.state().events);
  expect(values(file, file.state().floor).at(-1)).toBe('1500.0');
  const events = file.state().events;
  expect(logFile({ eventsMax: 100 }).state().events).toBe(events);
});

test('events are dropped by their age and by the bytes of the log', () => {
  const file = logFile({ ageMsMax: 100_000 });
  file.append(batch(110n, transaction(100n, 5), transaction(105n, 5)));
  file.trim(100_103);
  expect(values(file, file.state().floor)).toHaveLength(5);
  file.trim(300_000);
  expect(file.state()).toMatchObject({ events: 0, bytes: 0 });
  // Appending looks by itself.
  file.append(batch(400_010n, transaction(400_000n, 1)));
  file.append(batch(600_010n, transaction(600_000n, 1)));
  expect(values(file, file.state().floor)).toEqual(['600000.0']);
  const small = logFile({ bytesMax: 700 });
  small.append(batch(210n, transaction(200n, 20)));
  expect(small.state().bytes).toBeLessThanOrEqual(700);
  expect(small.state().events).toBeGreaterThan(0);
});

test('events are dropped by their age also after the clock was ahead for a while', () => {
  const file = logFile({ ageMsMax: 100_000 });
  file.trim(10_000_000);
  file.append(batch(110n, transaction(100n, 5)));
  file.trim(300_000);
  expect(file.state().events).toBe(0);
});

test('cursors persist, never move back, and are bounded', () => {
  const file = logFile({ cursorsMax: 2 });
  const key = { kind: 'stream', subject: 'public.users', name: 'a' } as const;
  expect(file.cursors.get(key)).toBeUndefined();
  file.cursors.save(key, { ordinal: 1, lsn: 10n, index: 1 }, 1);
  file.cursors.save(key, { ordinal: 1, lsn: 9n, index: 5 }, 2);
  expect(logFile().cursors.get(key)?.position).toEqual({ ordinal: 1, lsn: 10n, index: 1 });
  file.cursors.save({ ...key, kind: 'pulse' }, START, 1);
  expect(() => file.cursors.save({ ...key, name: 'b' }, START, 1)).toThrow(
    expect.objectContaining({ code: 'quota_exceeded' }),
  );
  file.cursors.delete(key);
  expect(file.cursors.all()).toHaveLength(1);
});

test('a new epoch starts with a gap and refuses offsets of another history', () => {
  const file = logFile();
  file.begin({ systemId: '7', timeline: 1 }, 1n);
  const { epoch } = file.state();
  file.append(batch(110n, transaction(100n, 1)));
  file.append(batch(undefined, transaction(120n, 1)));
  const state = file.newEpoch(1);
  expect(state.epoch).not.toBe(epoch);
  expect(state).toMatchObject({ storedLsn: undefined, history: undefined, ordinal: 2 });
  file.append(batch(20n, transaction(10n, 1)));
  expect(values(file)).toEqual(['100.0', 'gap', '10.0']);
  file.checkEpoch({ ordinal: 1, lsn: 0n, index: 0 }, epoch);
  expect(() => file.checkEpoch({ ordinal: 2, lsn: 0n, index: 0 }, epoch)).toThrow(
    expect.objectContaining({ code: 'stream_gone' }),
  );
});

test('a batch that is stored in slices leaves the same events as the whole batch, which are visible after the last slice', () => {
  const big = batch(900n, transaction(100n, 4500), transaction(110n, 0), transaction(120n, 3), transaction(130n, 2100));
  const slices = [...slicesOf(big)];
  expect(slices.length).toBeGreaterThan(2);
  const file = logFile();
  for (const [i, slice] of slices.entries()) {
    file.append(slice);
    expect(file.state().tail.lsn).toBe(i === slices.length - 1 ? 130n : 0n);
  }
  expect(file.state()).toMatchObject({ events: 6603, storedLsn: 900n, tail: { lsn: 130n, index: 2099 } });
  expect(values(file)).toHaveLength(6603);
  expect(values(file).at(-1)).toBe('130.2099');
  // The end of a transaction whose pieces went before.
  file.append(batch(undefined, transaction(950n, 2)));
  for (const slice of slicesOf(batch(960n, transaction(950n, 0, { firstIndex: 2 })))) file.append(slice);
  expect(file.state().tail).toEqual({ ordinal: 1, lsn: 950n, index: 1 });
  for (const slice of slicesOf(batch(990n))) file.append(slice);
  expect(file.state()).toMatchObject({ storedLsn: 990n, events: 6605 });
});

test('an event over its bound leaves out its largest values until the others fit, and is alone in its slice', () => {
  const half = 'x'.repeat(EVENT_CHARACTERS_MAX / 2);
  const rows = [
    ['1', half, half],
    ['2', 'y'.repeat(EVENT_CHARACTERS_MAX + 1), half],
    ['3', 'small', 'small'],
  ];
  const events = rows.map((after) => ({ relation: 0, operation: 'insert' as const, before: undefined, after }));
  const slices = [
    ...slicesOf({
      relations: [RELATION],
      transactions: [{ lsn: 100n, xid: 1, committedAtMs: 1, firstIndex: 0, events }],
      endLsn: 110n,
    }),
  ];
  expect(slices.map((slice) => slice.transactions.flatMap((each) => each.events).length)).toEqual([1, 1, 1]);
  const after = slices.flatMap((slice) =>
    slice.transactions.flatMap((each) => each.events.map((event) => event.after)),
  );
  expect(after).toEqual([
    ['1', OMITTED, half],
    ['2', OMITTED, half],
    ['3', 'small', 'small'],
  ]);
});

test('an array of more than half a megabyte is left out, a text of that size is not', () => {
  const long = 'x'.repeat(600_000);
  const columns = [
    { name: 'id', typeOid: 23, key: true },
    { name: 'list', typeOid: 1009, key: false },
    { name: 'text', typeOid: 25, key: false },
  ];
  const relations = [{ schema: 'public', name: 'users', columns }];
  const events = [{ relation: 0, operation: 'insert' as const, before: undefined, after: ['1', long, long] }];
  const one: NewTransaction = { lsn: 100n, xid: 1, committedAtMs: 1, firstIndex: 0, events };
  const [slice] = slicesOf({ relations, transactions: [one], endLsn: 110n });
  expect(slice?.transactions[0]?.events[0]?.after).toEqual(['1', OMITTED, long]);
});

test('a read gives events up to its bound, and a larger event alone when asked for it', () => {
  const file = logFile();
  const sizes = [10, 300_000, 10];
  sizes.forEach((size, i) => {
    const lsn = BigInt(100 + i);
    const events = [{ relation: 0, operation: 'insert' as const, before: undefined, after: ['x'.repeat(size)] }];
    const one: NewTransaction = { lsn: lsn, xid: 1, committedAtMs: 1, firstIndex: 0, events };
    file.append(batch(lsn + 1n, one));
  });
  const first = file.read({ after: START, limit: 10 });
  const lengths = (result: typeof first): number[] => result.events.map((event) => String(event.after?.[0]).length);
  expect(lengths(first)).toEqual([10]);
  expect(first).toMatchObject({ largeNext: true, atTail: false });
  const stays = file.read({ after: first.upTo, limit: 10 });
  expect(stays).toMatchObject({ events: [], upTo: first.upTo, largeNext: true, atTail: false });
  const second = file.read({ after: first.upTo, limit: 1, large: true });
  expect(lengths(second)).toEqual([300_000]);
  expect(file.read({ after: second.upTo, limit: 10 })).toMatchObject({ largeNext: false, atTail: true });
});

test('an event of an older version that is over every bound is read without its values', () => {
  const file = logFile();
  const huge = 'x'.repeat(33 * 1024 * 1024);
  const events = [{ relation: 0, operation: 'insert' as const, before: undefined, after: [huge] }];
  file.append(batch(110n, { lsn: 100n, xid: 1, committedAtMs: 1, firstIndex: 0, events }));
  expect(file.read({ after: START, limit: 10 }).events.map((event) => event.after)).toEqual([[OMITTED]]);
});

test('many events that become too old at once are dropped over several calls', () => {
  const file = logFile({ ageMsMax: 100_000 });
  file.append(batch(110n, transaction(100n, 9000)));
  const left: number[] = [];
  for (;;) {
    const before = file.state().events;
    file.trim(300_000);
    if (file.state().events === before) break;
    left.push(file.state().events);
  }
  expect(left).toEqual([5000, 1000, 0]);
});

test('a file without room for its tables fails as a full disk, and has none of the tables', () => {
  const db = new Database(join(directory, 'small.db'));
  try {
    db.pragma('max_page_count = 3');
    expect(() => migrate(db)).toThrow(expect.objectContaining({ code: 'SQLITE_FULL' }));
    db.pragma('max_page_count = 1000');
    expect(db.prepare('SELECT name FROM sqlite_schema').all()).toEqual([]);
    migrate(db);
    expect(db.prepare("SELECT name FROM sqlite_schema WHERE name = 'epochs'").all()).toEqual([{ name: 'epochs' }]);
  } finally {
    db.close();
  }
});
