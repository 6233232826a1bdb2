import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { type Scratch, scratch } from '../../../test/support/scratch.ts';
import { until } from '../../../test/support/until.ts';
import { lifelineHeld, makeLifeline, openLifeline, watchLifeline } from './lifeline.ts';
import { procProcessTable } from './process-table.ts';

describe('a lifeline', () => {
  let home: Scratch;
  let path: string;
  const children: ChildProcess[] = [];
  /** A process that lives until its standard input ends, with a child of its own that lives until it is killed. */
  const tree = (writeFd: number): ChildProcess => {
    const child = spawn('sh', ['-c', 'sleep 1000 & echo $!; read line'], {
      stdio: ['pipe', 'pipe', 'ignore', writeFd],
    });
    children.push(child);
    return child;
  };
  beforeEach(async () => {
    home = scratch('lifeline');
    path = join(home.path, 'lifeline');
    await makeLifeline(path);
  });
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
    home.remove();
  });

  it('a lifeline that no process has inherited is not held, nor is a lifeline that a process only watches', () => {
    expect(lifelineHeld(path)).toBe(false);
    const fd = openSync(path, 'r+');
    expect(lifelineHeld(path)).toBe(true);
    closeSync(fd);
    expect(lifelineHeld(path)).toBe(false);
  });

  it('a lifeline ends with the last process of the tree, also if that process is frozen, and not with the first process', async () => {
    const ends = openLifeline(path);
    const child = tree(ends.writeFd);
    ends.closeWrite();
    const first = ends.watch();
    const second = watchLifeline(path);
    const grandchild = Number(await new Promise((resolve) => child.stdout?.once('data', resolve)));
    child.kill('SIGKILL');
    await new Promise((resolve) => child.once('exit', resolve));
    expect(first.ended).toBe(false);
    expect(lifelineHeld(path)).toBe(true);
    // Frozen is alive.
    process.kill(grandchild, 'SIGSTOP');
    await until(() => procProcessTable().stopped(grandchild), { what: 'a frozen grandchild' });
    expect(lifelineHeld(path)).toBe(true);
    expect(procProcessTable().holders(path)).toEqual([grandchild]);
    process.kill(grandchild, 'SIGKILL');
    await Promise.all([first.gone, second.gone]);
    expect(lifelineHeld(path)).toBe(false);
    expect(first.ended && second.ended).toBe(true);
  });
});
