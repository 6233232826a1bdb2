import { describe, expect, it } from 'vitest';
import { FakeServer } from '../../../test/support/fake-server.ts';
import { SettlingClock, settled } from '../../../test/support/manual-clock.ts';
import { type DatabaseId, Deadline, silentLogger } from '../../base/index.ts';
import { Controller } from '../life/controller.ts';
import { type Ageing, AgeRound } from './age-round.ts';

const HOUR = 60 * 60_000;

/** Databases whose age is due an hour after each look. */
function some(count: number, alwaysOn: boolean) {
  const clock = new SettlingClock();
  const round = new AgeRound(clock);
  const databases = Array.from({ length: count }, (_, index) => {
    const server = new FakeServer(clock);
    const controller = new Controller({
      databaseId: `db_${String(index).padStart(20, '0')}` as DatabaseId,
      server,
      rest: { suspendAfterMs: 60_000, stopAfterMs: Number.POSITIVE_INFINITY, alwaysOn },
      clock,
      logger: silentLogger,
    });
    const ageing = {
      ageDueAtMs: 0,
      looks: [] as string[],
      async lookAtAge() {
        ageing.looks.push(server.actual);
        ageing.ageDueAtMs = clock.monotonic() + HOUR;
      },
    } satisfies Ageing & { looks: string[] };
    controller.onChange((state) => round.changed(ageing, state));
    return { server, controller, ageing };
  });
  const wake = async (): Promise<void> => {
    for (const { controller } of databases) {
      void controller.hold(Deadline.in(clock, 60_000)).then((hold) => hold.release());
    }
    await clock.advance(1000);
  };
  return { clock, round, databases, wake };
}

describe('the age of running databases', () => {
  it('the age of a database that never rests is read soon after the start, then hourly', async () => {
    const { clock, databases, wake } = some(1, true);
    await wake();
    await clock.advance(10_000);
    expect(databases[0]?.ageing.looks).toEqual(['up']);
    await clock.advance(HOUR - 20_000);
    expect(databases[0]?.ageing.looks).toHaveLength(1);
    await clock.advance(23 * HOUR + 20_000);
    expect(databases[0]?.ageing.looks.length).toBeGreaterThanOrEqual(23);
    expect(databases[0]?.ageing.looks.length).toBeLessThanOrEqual(25);
  });

  it('the age of a database is read without waking the database or keeping the database from rest, and not during a rest', async () => {
    const { clock, databases, wake } = some(3, false);
    await wake();
    await clock.advance(61_000);
    expect(databases.map(({ controller }) => controller.state)).toEqual(['suspended', 'suspended', 'suspended']);
    await clock.advance(5 * HOUR);
    expect(databases.map(({ controller }) => controller.state)).toEqual(['suspended', 'suspended', 'suspended']);
    expect(databases.map(({ ageing }) => ageing.looks)).toEqual([['up'], ['up'], ['up']]);
    await wake();
    await clock.advance(10_000);
    expect(databases.map(({ ageing }) => ageing.looks)).toEqual([
      ['up', 'up'],
      ['up', 'up'],
      ['up', 'up'],
    ]);
    expect(databases.flatMap(({ server }) => server.violations)).toEqual([]);
  });

  it('the age of running databases is read for a few databases per round, one after the other', async () => {
    const { clock, databases, wake } = some(35, true);
    const looks = () => databases.reduce((sum, { ageing }) => sum + ageing.looks.length, 0);
    await wake();
    let before = looks();
    for (let second = 0; second < 60; second++) {
      await clock.advance(1000);
      expect(looks() - before).toBeLessThanOrEqual(10);
      before = looks();
    }
    expect(databases.every(({ ageing }) => ageing.looks.length === 1)).toBe(true);
  });

  it('the age of the next database is read once a slow database has answered, and the slow database is not asked twice', async () => {
    const { clock, databases, wake } = some(2, true);
    const [slow, other] = databases;
    if (slow === undefined || other === undefined) throw new Error('none');
    let begun = 0;
    let finish = (): void => {};
    slow.ageing.lookAtAge = () => {
      begun++;
      return new Promise<void>((resolve) => {
        finish = () => {
          slow.ageing.ageDueAtMs = Number.POSITIVE_INFINITY;
          resolve();
        };
      });
    };
    await wake();
    await clock.advance(60_000);
    expect(begun).toBe(1);
    finish();
    await settled();
    await clock.advance(10_000);
    expect(other.ageing.looks).toHaveLength(1);
  });

  it('the round that reads ages sets no timer while no database runs, or after the close', async () => {
    const { clock, round, databases, wake } = some(1, true);
    await wake();
    round.close();
    await clock.advance(HOUR);
    expect(databases[0]?.ageing.looks).toEqual([]);
  });
});
