import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { systemClock } from '../../base/index.ts';
import type { EventLog } from './event-log.ts';
import { EventLogs } from './event-logs.ts';
import { DEFAULT_LOG_LIMITS } from './log-bounds.ts';

/**
 * What the worker may hold: 64 open files, and twice the 32 that may be closed and not collected, since the collected
 * ones go a moment later; three descriptors each.
 */
const DESCRIPTORS_MAX = (64 + 2 * 32) * 3;

const LIMITS = { ...DEFAULT_LOG_LIMITS, synced: false };
const RELATION = { schema: 'public', name: 't', columns: [{ name: 'id', typeOid: 23, key: true }] };

describe('the turns of databases in the thread of the logs', () => {
  let directory: string;
  let logs: EventLogs;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'dormouse-turns-'));
    logs = new EventLogs(systemClock);
  });
  afterEach(async () => {
    await logs.close();
    rmSync(directory, { recursive: true, force: true });
  });

  /** A log whose every read takes the thread some milliseconds. */
  async function filled(name: string): Promise<EventLog> {
    const log = logs.open(join(directory, name), LIMITS);
    const events = Array.from({ length: 2000 }, (_, i) => ({
      ...{ relation: 0, operation: 'insert' as const, before: undefined, after: [`${i}`.padEnd(100, 'x')] },
    }));
    const transaction = { lsn: 10n, xid: 1, committedAtMs: Date.now(), firstIndex: 0, events };
    await log.append({ relations: [RELATION], transactions: [transaction], endLsn: 20n });
    return log;
  }
  const START = { ordinal: 1, lsn: 0n, index: 0 };

  it('databases take turns in the thread of the logs, however much one of them asks for, and management goes first', async () => {
    const greedy = await filled('greedy.db');
    const other = await filled('other.db');
    const done: string[] = [];
    const note = (what: string) => (): unknown => done.push(what);
    const asked = [
      ...Array.from({ length: 200 }, () => greedy.read({ after: START, limit: 500 }).then(note('greedy'))),
      other.read({ after: START, limit: 500 }).then(note('other')),
      other.append({ relations: [], transactions: [], endLsn: 30n }).then(note('other writes')),
      greedy.append({ relations: [], transactions: [], endLsn: 30n }).then(note('greedy writes')),
      other.cursors().then(note('management')),
    ];
    await Promise.all(asked);
    // Two jobs are with the thread when the others come.
    expect(done.slice(0, 3)).toEqual(['greedy', 'greedy', 'management']);
    expect(done.indexOf('other')).toBeLessThan(8);
    expect(done.indexOf('other writes')).toBeLessThan(8);
    // Nor does a database wait with its writes for all its own readers.
    expect(done.indexOf('greedy writes')).toBeLessThan(8);
  });

  it('a read whose reader has hung up is passed over, and more reads than may wait are refused', async () => {
    const greedy = await filled('greedy.db');
    const askers = Array.from({ length: 1000 }, () => new AbortController());
    const gone = askers.map(({ signal }) =>
      greedy.read({ after: START, limit: 500 }, signal).then(
        () => 'read',
        (error: { name: string }) => error.name,
      ),
    );
    for (const asker of askers) asker.abort();
    expect(await greedy.read({ after: START, limit: 1 })).toMatchObject({ atTail: false });
    const ends = await Promise.all(gone);
    const count = (all: readonly string[], what: string): number => all.filter((each) => each === what).length;
    expect(count(ends, 'read')).toBeLessThanOrEqual(2);
    expect(count(ends, 'AbortError')).toBeGreaterThanOrEqual(998);

    const many = Array.from({ length: 1100 }, () =>
      greedy.read({ after: START, limit: 1 }).then(
        () => 'read',
        (error: { code: string }) => error.code,
      ),
    );
    const outcomes = await Promise.all(many);
    expect(count(outcomes, 'queue_full')).toBe(1100 - 1000 - 2);
    expect(count(outcomes, 'read')).toBe(1002);
  });

  it('the state of a log is known without waiting for the thread', async () => {
    const log = await filled('a.db');
    const reads = Array.from({ length: 50 }, () => log.read({ after: START, limit: 500 }));
    let before = 0;
    for (const read of reads) void read.then(() => before++);
    expect(await log.state()).toMatchObject({ events: 2000, storedLsn: 20n });
    expect(before).toBe(0);
    await Promise.all(reads);
  });

  it('closing a log refuses the reads that wait for it, and nothing opens it again', async () => {
    const log = await filled('a.db');
    const reads = Array.from({ length: 20 }, () =>
      log.read({ after: START, limit: 500 }).then(
        () => 'read',
        (error: { code: string }) => error.code,
      ),
    );
    await log.close();
    expect((await Promise.all(reads)).filter((what) => what === 'database_deleted').length).toBeGreaterThanOrEqual(18);
    await expect(log.state()).rejects.toMatchObject({ code: 'database_deleted' });
  });
});

describe.runIf(process.platform === 'linux')('the logs of many databases', () => {
  it('the logs of many databases hold a bounded number of descriptors, however many logs are used', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'dormouse-logs-'));
    const logs = new EventLogs(systemClock);
    const open = (): number =>
      readdirSync('/proc/self/fd').filter((number) => {
        try {
          return readlinkSync(`/proc/self/fd/${number}`).startsWith(directory);
        } catch {
          return false;
        }
      }).length;
    try {
      for (let turn = 0; turn < 300; turn++) {
        await logs.open(join(directory, `${turn % 200}.db`), DEFAULT_LOG_LIMITS).state();
        expect(open()).toBeLessThanOrEqual(DESCRIPTORS_MAX);
      }
      expect(open()).toBeGreaterThan(64);
    } finally {
      await logs.close();
      rmSync(directory, { recursive: true, force: true });
    }
  });
});
