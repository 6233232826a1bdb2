import { describe, expect, it } from 'vitest';
import { machineMemory } from './machine-memory.ts';

const MEMINFO = { '/proc/meminfo': 'MemTotal:       24000 kB\nMemFree:  9 kB\nMemAvailable:   20000 kB\n' };
const V2 = {
  '/proc/self/mounts': 'none /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n',
  '/proc/self/cgroup': '0::/system.slice/app.service\n',
};
const V1 = {
  '/proc/self/mounts': 'none /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\nnone /cg/memory cgroup rw,relatime,memory 0 0\n',
  '/proc/self/cgroup': '4:memory:/docker/abc\n1:cpu:/x\n',
};
const KIB = 1024;
const memory = (...files: readonly Readonly<Record<string, string>>[]) => {
  const all: Record<string, string> = Object.assign({}, ...files);
  const { totalBytes, availableBytes } = machineMemory((path) => all[path]);
  return [totalBytes, availableBytes()];
};

describe('the memory of a machine', () => {
  it('the memory of a machine is what the kernel reports where no control group has a limit', () => {
    expect(memory(MEMINFO)).toEqual([24000 * KIB, 20000 * KIB]);
    expect(memory(MEMINFO, V2, { '/sys/fs/cgroup/system.slice/app.service/memory.max': 'max\n' })).toEqual([
      24000 * KIB,
      20000 * KIB,
    ]);
    const none = { '/cg/memory/docker/abc/memory.limit_in_bytes': '9223372036854771712\n' };
    expect(memory(MEMINFO, V1, none)).toEqual([24000 * KIB, 20000 * KIB]);
  });

  it('the memory of a machine is not known on a system without /proc', () => {
    expect(memory()).toEqual([undefined, undefined]);
  });

  it('the memory of a machine is the least that a control group of version 2 above this process allows, without cached files that were not used lately', () => {
    const limits = {
      '/sys/fs/cgroup/system.slice/memory.max': `${9000 * KIB}\n`,
      '/sys/fs/cgroup/system.slice/memory.current': `${8000 * KIB}\n`,
      '/sys/fs/cgroup/system.slice/memory.stat': `anon 5\ninactive_file ${500 * KIB}\nactive_file 7\n`,
      '/sys/fs/cgroup/system.slice/app.service/memory.max': `${10000 * KIB}\n`,
      '/sys/fs/cgroup/system.slice/app.service/memory.current': `${100 * KIB}\n`,
    };
    expect(memory(MEMINFO, V2, limits)).toEqual([9000 * KIB, 1500 * KIB]);
  });

  it('the memory of a machine is what a control group of version 1 allows, also where the path of the group is the path outside of the container', () => {
    const limits = {
      '/cg/memory/memory.limit_in_bytes': `${4000 * KIB}\n`,
      '/cg/memory/memory.usage_in_bytes': `${4500 * KIB}\n`,
      '/cg/memory/memory.stat': `inactive_file 1\ntotal_inactive_file ${100 * KIB}\n`,
    };
    expect(memory(MEMINFO, V1, limits)).toEqual([4000 * KIB, 0]);
  });
});
