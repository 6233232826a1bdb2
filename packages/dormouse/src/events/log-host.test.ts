import { mkdtempSync, readdirSync, readlinkSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { systemClock } from '../base/index.ts';
import { DEFAULT_LOG_LIMITS } from './log-bounds.ts';
import { EventLogs } from './log-host.ts';

/**
 * What the worker may hold: 64 open files, and twice the 32 that may be closed and not collected, since the collected ones go a moment
 * later; three descriptors each.
 */
const DESCRIPTORS_MAX = (64 + 2 * 32) * 3;

describe.runIf(process.platform === 'linux')('the logs of many databases', () => {
  it('hold a bounded number of descriptors, however many are used', async () => {
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
