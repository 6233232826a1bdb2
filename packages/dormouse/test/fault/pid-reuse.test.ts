import { execFile, execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { scratch } from '../support/scratch.ts';

const HOOKS = fileURLToPath(new URL('../support/run-typescript.mjs', import.meta.url));
const INSIDE = fileURLToPath(new URL('../support/pid-reuse.ts', import.meta.url));
/** Runs the test in a pid namespace of its own. The first process of the namespace reaps orphans, as init does. */
const NAMESPACE = ['--pid', '--fork', '--mount-proc', '--kill-child', 'bash', '-c', '"$@" & wait $!', 'bash'];

function permitted(): boolean {
  try {
    execFileSync('unshare', [...NAMESPACE, 'test', '-w', '/proc/sys/kernel/ns_last_pid'], { stdio: 'pipe' });
    return true;
  } catch (error) {
    console.warn(`skipped: choosing pids needs a pid namespace of one's own (${String(error).split('\n')[0]})`);
    return false;
  }
}

it.skipIf(!permitted())('a process that has the pid of an earlier server is neither adopted nor harmed', async () => {
  const place = scratch('pids');
  try {
    const command = [process.execPath, '--import', HOOKS, INSIDE, join(place.path, 'data')];
    const { stdout } = await promisify(execFile)('unshare', [...NAMESPACE, ...command], { timeout: 150_000 });
    expect(JSON.parse(stdout)).toEqual({ adopted: [], rows: [{ i: 1 }], strangerLives: true, leftBehind: [] });
  } finally {
    place.remove();
  }
});
