// Ends what a test process left behind. Its standard input is a pipe from the test process: when that process has
// ended, however it did, the pipe closes. A line is `+PATH` (owned: a directory under the system's temporary one) or
// `-PATH` (given back). Every process that works in an owned directory, or names it in its command, is killed.
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { emptyMemory, noteMapped, noteRecorded, removeMemory } from './server-memory.mjs';

const owned = new Set();

/** Processes that belong to `directory`: by working directory or by command line. Frozen ones too. */
export function processesOf(directory) {
  const found = [];
  let entries;
  try {
    entries = readdirSync('/proc');
  } catch {
    return found;
  }
  for (const entry of entries) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    const inside = [];
    try {
      inside.push(readlinkSync(`/proc/${entry}/cwd`));
    } catch {}
    try {
      inside.push(...readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0'));
    } catch {}
    if (inside.some((path) => path === directory || path.startsWith(`${directory}/`))) found.push(Number(entry));
  }
  return found;
}

/** Kills the processes that belong to `directory` now; gives their pids. One that ends meanwhile is no error. */
export function killProcessesOf(directory) {
  const pids = processesOf(directory);
  for (const pid of pids) kill(pid);
  return pids;
}

/** The end of one process may end others before they are killed: all of a sandbox end with its first process. */
function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error;
  }
}

/** Kills the processes of `directory` until none is left, then removes it and the shared memory of its servers. */
export function reap(directory) {
  const memory = emptyMemory();
  for (let round = 0; round < 50; round++) {
    const pids = processesOf(directory);
    if (pids.length === 0) break;
    for (const pid of pids) noteMapped(pid, memory);
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {}
    }
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
  noteRecorded(directory, memory);
  removeMemory(memory);
  rmSync(directory, { recursive: true, force: true, maxRetries: 5 });
}

if (process.argv[2] === 'watch') {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => {});
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    if (line.startsWith('+')) owned.add(line.slice(1));
    else owned.delete(line.slice(1));
  });
  lines.on('close', () => {
    for (const directory of owned) reap(directory);
  });
}
