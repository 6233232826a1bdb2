import { describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { type DatabaseId, type KeyId, silentLogger } from '../../base/index.ts';
import type { UsageRow } from './registry.ts';
import { Usage } from './usage.ts';

const A = 'key_a' as KeyId;
const B = 'key_b' as KeyId;
const ONE = 'db_one' as DatabaseId;

function world(stored: readonly UsageRow[] = []) {
  const clock = new ManualClock(Date.UTC(2026, 10, 23, 23, 59));
  const written: UsageRow[][] = [];
  let full = false;
  const registry = {
    usageSince: () => stored,
    forgetUsageBefore: () => {},
    addUsage: (rows: readonly UsageRow[]) => {
      if (full) throw new Error('disk full');
      written.push([...rows]);
    },
  };
  return {
    clock,
    written,
    usage: new Usage({ registry, clock, log: silentLogger }),
    fill: (value: boolean) => (full = value),
  };
}

describe('Usage', () => {
  it('counts are written every few seconds, and each operation is written once', () => {
    const { clock, written, usage } = world();
    usage.count(A, ONE, 1);
    usage.count(A, ONE, 2);
    usage.count(B, ONE, 1);
    expect(written).toEqual([]);
    clock.advance(5_000);
    expect(written).toEqual([
      [
        { keyId: A, databaseId: ONE, day: '2026-11-23', operations: 3 },
        { keyId: B, databaseId: ONE, day: '2026-11-23', operations: 1 },
      ],
    ]);
    clock.advance(60_000);
    expect(written).toHaveLength(1);
    usage.count(A, ONE, 4);
    usage.flush();
    usage.flush();
    expect(written[1]).toEqual([{ keyId: A, databaseId: ONE, day: '2026-11-24', operations: 4 }]);
    expect(written).toHaveLength(2);
    expect(clock.timers).toBe(0);
  });

  it('counts go on from the stored counts', () => {
    const { usage } = world([{ keyId: A, databaseId: ONE, day: '2026-11-23', operations: 10 }]);
    usage.count(A, ONE, 1);
    expect(usage.ofDatabase(ONE)).toEqual([{ day: '2026-11-23', operations: 11 }]);
    expect(usage.todayBy(({ keyId }) => keyId).get(A)).toBe(11);
  });

  it('a new day of counts begins at midnight UTC', () => {
    const { clock, usage } = world();
    usage.count(A, ONE, 1);
    clock.advance(60_000);
    usage.count(A, ONE, 2);
    usage.count(B, ONE, 3);
    expect(usage.ofDatabase(ONE)).toEqual([
      { day: '2026-11-24', operations: 5 },
      { day: '2026-11-23', operations: 1 },
    ]);
    expect([...usage.todayBy(() => 'all')]).toEqual([['all', 5]]);
  });

  it('counts that could not be written are kept and written later', () => {
    const { clock, written, usage, fill } = world();
    usage.count(A, ONE, 1);
    fill(true);
    clock.advance(5_000);
    usage.count(A, ONE, 1);
    fill(false);
    clock.advance(5_000);
    expect(written).toEqual([[{ keyId: A, databaseId: ONE, day: '2026-11-23', operations: 2 }]]);
  });

  it('days that are no longer shown are forgotten', () => {
    const { clock, usage } = world();
    usage.count(A, ONE, 1);
    clock.advance(40 * 86_400_000);
    usage.count(A, ONE, 1);
    expect(usage.ofDatabase(ONE)).toHaveLength(1);
  });
});
