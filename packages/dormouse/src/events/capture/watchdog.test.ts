import { beforeEach, expect, it } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { silentLogger } from '../../base/index.ts';
import type { InstanceState } from '../../instance/index.ts';
import { Watchdog } from './watchdog.ts';

const TICK_MS = 10_000;

let clock: ManualClock;
let instance: { state: InstanceState };
let connection: { received: number; destroyed: boolean; destroy(): void };
let paused: boolean;
let asked: number;
let watchdog: Watchdog;

beforeEach(() => {
  clock = new ManualClock();
  instance = { state: 'running' };
  connection = {
    ...{ received: 0, destroyed: false },
    destroy() {
      this.destroyed = true;
    },
  };
  paused = false;
  asked = 0;
  watchdog = new Watchdog({
    ...{ clock, logger: silentLogger, instance, connection, paused: () => paused, ask: () => asked++ },
  });
});
const ticks = (count: number): void => {
  for (let i = 0; i < count; i++) clock.advance(TICK_MS);
};

it('a connection that stays silent while its server runs is destroyed at the third silent tick', () => {
  ticks(2);
  expect(connection.destroyed).toBe(false);
  ticks(1);
  expect(connection.destroyed).toBe(true);
  expect(asked).toBe(2);
});

it('a byte between two ticks begins the count anew, and a paused connection is not counted', () => {
  ticks(2);
  connection.received += 1;
  ticks(3);
  expect(connection.destroyed).toBe(false);
  paused = true;
  ticks(5);
  expect(connection.destroyed).toBe(false);
});

it('no timer runs while the server is frozen, and the ticks go on after the thaw', () => {
  ticks(2);
  instance.state = 'suspended';
  ticks(10);
  expect(asked).toBe(2);
  expect(connection.destroyed).toBe(false);
  instance.state = 'running';
  ticks(10);
  expect(asked).toBe(2);
  watchdog.awake();
  connection.received += 1;
  ticks(1);
  expect(asked).toBe(3);
  ticks(3);
  expect(connection.destroyed).toBe(true);
});

it('a stopped watchdog does nothing any more, also after a thaw', () => {
  instance.state = 'suspended';
  ticks(1);
  watchdog.stop();
  instance.state = 'running';
  watchdog.awake();
  ticks(5);
  expect(asked).toBe(0);
  expect(connection.destroyed).toBe(false);
});
