import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { until } from '../../../test/support/until.ts';
import { systemClock } from '../../base/index.ts';
import { CGROUP_PREFIX, findCgroup } from './cgroup.ts';
import { cgroupFreezer, type Freezer, signalFreezer, type Thaw } from './freezer.ts';
import { type ProcessTable, procProcessTable, psProcessTable } from './process-table.ts';

const tables: [string, () => ProcessTable][] = [['ps', psProcessTable]];
if (process.platform === 'linux') tables.unshift(['/proc', procProcessTable]);
const place = findCgroup();
const name = `${CGROUP_PREFIX}${process.pid.toString(16).padStart(12, '0')}`;
const group = place && cgroupFreezer(procProcessTable(), systemClock, place, name);
if (group === undefined) console.warn('skipped: freezing by cgroup needs a writable cgroup version 2');
await group?.close();

/** A parent with three children. Each process writes all the time, unless it is frozen. */
const CHILD = "setInterval(() => process.stdout.write('x'), 1)";
const PARENT = `const { spawn } = require('node:child_process');
for (let n = 0; n < 3; n++) spawn(process.execPath, ['-e', ${JSON.stringify(CHILD)}], { stdio: 'inherit' });
${CHILD}`;

describe.each([
  ...tables.map(([label, table]) => [`signals, by ${label}`, () => signalFreezer(table(), systemClock)] as const),
  ...(place && group
    ? [['cgroup', () => cgroupFreezer(procProcessTable(), systemClock, place, name) as Freezer] as const]
    : []),
])('freezing a tree (%s)', (_label, make) => {
  let child: ChildProcess | undefined;
  let freezer: Freezer | undefined;
  let thaw: Thaw | undefined;
  afterEach(async () => {
    const { pid } = child ?? {};
    if (pid !== undefined) {
      thaw?.();
      process.kill(-pid, 'SIGKILL');
      await new Promise((resolve) => child?.once('close', resolve));
    }
    freezer?.release('server');
    await freezer?.close();
  });

  it('the freeze of a tree stops every process of the tree, and the thaw continues every process', async () => {
    freezer = make();
    let lines = 0;
    child = spawn(process.execPath, ['-e', PARENT], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
    const pid = child.pid as number;
    child.stdout?.on('data', (chunk: Buffer) => {
      lines += chunk.length;
    });
    for (let round = 0; round < 3; round++) {
      const before = lines;
      await until(() => lines > before + 20, { what: 'work' });
      thaw = await freezer.freeze('server', pid);
      // What was written before lies in the pipe; after that nothing comes.
      await until(
        async () => {
          const seen = lines;
          await new Promise((resolve) => setTimeout(resolve, 30));
          return lines === seen;
        },
        { what: 'silence' },
      );
      const frozen = lines;
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(lines).toBe(frozen);
      thaw();
    }
    const before = lines;
    await until(() => lines > before + 20, { what: 'work after the thaw' });
    expect(child.exitCode).toBeNull();
  });
});

describe.runIf(group !== undefined)('the control group of a server', () => {
  it('the control group of a server is removed after the server has ended, and the group of all servers after the close', async () => {
    if (!place) return;
    const freezer = cgroupFreezer(procProcessTable(), systemClock, place, name) as Freezer;
    const base = join(place.mount, place.own, name);
    const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
    await freezer.freeze('one', child.pid as number);
    expect(readFileSync(join(base, 'one', 'cgroup.procs'), 'utf8').trim()).toBe(String(child.pid));
    child.kill('SIGKILL');
    await new Promise<void>((resolve) => child.once('exit', () => resolve()));
    freezer.release('one');
    await freezer.close();
    expect(existsSync(base)).toBe(false);
  });

  it('a platform that freezes by signals removes, at the close, the control group of a server that another platform left', async () => {
    if (!place) return;
    const base = join(place.mount, place.own, name);
    const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
    const thaw = await (cgroupFreezer(procProcessTable(), systemClock, place, name) as Freezer).freeze(
      'left',
      child.pid as number,
    );
    thaw();
    const next = signalFreezer(procProcessTable(), systemClock, place, name);
    child.kill('SIGKILL');
    await new Promise<void>((resolve) => child.once('exit', () => resolve()));
    expect(existsSync(join(base, 'left'))).toBe(true);
    await next.close();
    expect(existsSync(base)).toBe(false);
  });
});
