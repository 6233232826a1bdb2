import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { until } from '../../../test/support/until.ts';
import { procProcessTable, psProcessTable, signal } from './process-table.ts';

describe.runIf(process.platform === 'linux')('the two process tables, by /proc and by ps', () => {
  it('the process tables by /proc and by ps give the same answers', async () => {
    const [proc, ps] = [procProcessTable(), psProcessTable()];
    const child = spawn('sh', ['-c', 'sleep 1000; true'], { detached: true, stdio: 'ignore' });
    const pid = child.pid as number;
    try {
      await until(() => proc.children(pid).length === 1, { what: 'a grandchild' });
      for (const table of [proc, ps]) {
        expect(table.bootId).toBe(proc.bootId);
        expect(table.identify(pid)?.pid).toBe(pid);
        expect(table.identify(pid)).toEqual(table.identify(pid));
        expect(table.identify(pid)?.startTime).not.toBe('');
        expect(table.children(pid)).toEqual(proc.children(pid));
        expect(table.parent(pid)).toBe(process.pid);
        expect(table.stopped(pid)).toBe(false);
      }
      signal(pid, 'SIGSTOP');
      await until(() => proc.stopped(pid), { what: 'it to stop' });
      expect(ps.stopped(pid)).toBe(true);
    } finally {
      process.kill(-pid, 'SIGKILL');
    }
    await new Promise((resolve) => child.once('exit', resolve));
    for (const table of [proc, ps]) {
      expect(table.identify(pid)).toBeUndefined();
      expect(table.stopped(pid)).toBe(true);
      expect(table.children(pid)).toEqual([]);
    }
    expect(signal(pid, 'SIGCONT')).toBe(false);
  });

  it('the process tables by /proc and by ps report a zombie as gone', async () => {
    const proc = procProcessTable();
    // The shell does not wait for its first child.
    const child = spawn('sh', ['-c', 'true & exec sleep 1000'], { detached: true, stdio: 'ignore' });
    const pid = child.pid as number;
    try {
      const zombie = await until(() => proc.children(pid)[0] ?? false, { what: 'a child' });
      await until(() => proc.identify(zombie) === undefined, { what: 'a zombie' });
      expect(psProcessTable().identify(zombie)).toBeUndefined();
    } finally {
      process.kill(-pid, 'SIGKILL');
    }
  });
});
