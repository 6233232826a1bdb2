import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { NO_LIMITS, silentLogger, systemClock } from '../../base/index.ts';
import { systemProcessTable } from '../machine/process-table.ts';
import { LimitGroups } from './limit-groups.ts';
import { controllersOf, groupFiles, limitsOf } from './limits.ts';

const MiB = 2 ** 20;

describe('the limits of a database', () => {
  it('the limits of the platform apply where a database has no limit of its own', () => {
    const defaults = { ...NO_LIMITS, memoryLimitBytes: 256 * MiB, cpuWeight: 50 };
    expect(limitsOf(defaults, { cpuLimit: 2, memoryLimitBytes: Number.POSITIVE_INFINITY })).toEqual({
      ...NO_LIMITS,
      cpuWeight: 50,
      cpuLimit: 2,
    });
  });

  it('the limits of a database ask the kernel only for the controllers that are needed', () => {
    expect(controllersOf(NO_LIMITS)).toEqual([]);
    expect(controllersOf({ ...NO_LIMITS, tempLimitBytes: MiB })).toEqual([]);
    expect(controllersOf({ ...NO_LIMITS, cpuWeight: 99, processLimit: 20 })).toEqual(['cpu', 'pids']);
    expect(controllersOf({ ...NO_LIMITS, memoryLimitBytes: MiB, cpuLimit: 1 })).toEqual(['memory', 'cpu']);
  });

  it('the limits of a database are written in the kernel’s format', () => {
    expect(groupFiles(NO_LIMITS)).toEqual({
      memory: [
        ['memory.oom.group', '0'],
        ['memory.swap.max', 'max'],
        ['memory.max', 'max'],
      ],
      cpu: [
        ['cpu.weight', '100'],
        ['cpu.max', 'max 100000'],
      ],
      pids: [['pids.max', 'max']],
    });
    const own = { memoryLimitBytes: 128 * MiB, cpuLimit: 0.25, cpuWeight: 10, processLimit: 40 };
    const files = groupFiles({ ...NO_LIMITS, ...own });
    expect([...files.memory, ...files.cpu, ...files.pids].map(([, content]) => content)).toEqual([
      ...['1', '0', String(128 * MiB), '10', '25000 100000', '40'],
    ]);
  });
});

describe('the control groups for limits', () => {
  let mount: string;
  beforeEach(() => {
    mount = mkdtempSync(join(tmpdir(), 'dormouse-groups-'));
  });
  afterEach(() => rmSync(mount, { recursive: true }));

  /** A directory that looks like our own group: what is written into it stays, and nothing is enforced. */
  const groups = (controllers: string | undefined): LimitGroups => {
    const own = join(mount, 'own');
    mkdirSync(own);
    if (controllers !== undefined) {
      writeFileSync(join(own, 'cgroup.controllers'), `${controllers}\n`);
      for (const file of ['cgroup.procs', 'cgroup.subtree_control']) writeFileSync(join(own, file), '');
    }
    return new LimitGroups({
      place: { mount, own: '/own' },
      name: 'dormouse-0123456789ab',
      table: systemProcessTable(),
      clock: systemClock,
      logger: silentLogger,
    });
  };
  const limited = { ...NO_LIMITS, memoryLimitBytes: 128 * MiB };

  it('control groups are not touched until a limit is asked for', async () => {
    const made = groups('cpu memory pids');
    await made.enable(NO_LIMITS);
    await made.change('one', { ...NO_LIMITS, tempLimitBytes: MiB });
    expect(made.on).toBe(false);
    expect(made.of('one').tempLimitBytes).toBe(MiB);
    expect(() => readFileSync(join(mount, 'own/dormouse-0123456789ab/cgroup.subtree_control'))).toThrow();
  });

  it('limits without a controller are refused with what is missing, and nothing is changed', async () => {
    const made = groups('cpu pids');
    expect(made.obstacle(NO_LIMITS)).toBeUndefined();
    expect(made.obstacle(limited)).toContain('no controller for memory');
    await expect(made.change('one', limited)).rejects.toMatchObject({
      code: 'limits_unavailable',
      message: expect.stringContaining('Delegate=yes'),
    });
    expect(made.of('one')).toEqual(NO_LIMITS);
    expect(made.on).toBe(false);
  });

  it('limits are refused where there are no control groups at all', async () => {
    const nowhere = new LimitGroups({
      place: undefined,
      name: 'dormouse-0123456789ab',
      table: systemProcessTable(),
      clock: systemClock,
      logger: silentLogger,
    });
    expect(nowhere.obstacle(limited)).toContain('version 2');
    await expect(nowhere.enable(limited)).rejects.toMatchObject({ code: 'limits_unavailable' });
  });

  it('a control group takes in a start that waits, after the limits of the group were written', async () => {
    const made = groups('cpu memory pids');
    await made.enable(limited);
    expect(made.on).toBe(true);
    expect(readFileSync(join(mount, 'own/cgroup.subtree_control'), 'latin1')).toBe('+memory');
    made.note('one', { ...limited, memoryLimitBytes: 64 * MiB });
    const group = join(mount, 'own/dormouse-0123456789ab/one');
    await made.admit('one', 4711);
    expect(readFileSync(join(group, 'memory.max'), 'latin1')).toBe(String(64 * MiB));
    expect(readFileSync(join(group, 'memory.oom.group'), 'latin1')).toBe('1');
    expect(readFileSync(join(group, 'cgroup.procs'), 'latin1')).toBe('4711');
  });
});
