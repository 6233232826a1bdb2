// Shared memory that Postgres keeps outside of its directory, and which outlives a killed server: one System V segment
// per server, and files in /dev/shm. Only memory that the servers of one directory held is touched: other runs of
// Postgres share the machine.
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync, rmSync } from 'node:fs';
import { join } from 'node:path';

/** What is known of servers that are about to be killed, or were. */
export function emptyMemory() {
  return { segments: new Set(), files: new Set() };
}

/** Notes what a process has mapped. In a sandbox that is the sandbox's own, and ends with it. */
export function noteMapped(pid, memory) {
  try {
    for (const name of ['ipc', 'mnt']) {
      if (readlinkSync(`/proc/${pid}/ns/${name}`) !== readlinkSync(`/proc/self/ns/${name}`)) return;
    }
    for (const line of readFileSync(`/proc/${pid}/maps`, 'latin1').split('\n')) {
      // Where a file has its inode, a segment has its id.
      const [, inode, path] = /^\S+ \S+ \S+ \S+ (\d+) +(\/.*)$/.exec(line) ?? [];
      if (path?.startsWith('/SYSV')) memory.segments.add(Number(inode));
      const file = path?.match(/^\/dev\/shm\/PostgreSQL\.\d+$/)?.[0];
      if (file !== undefined) memory.files.add(file);
    }
  } catch {}
}

/**
 * Notes the segments of servers below `directory` that are gone already: the seventh line of what they wrote names key
 * and id.
 */
export function noteRecorded(directory, memory) {
  let names;
  try {
    names = readdirSync(directory, { withFileTypes: true });
  } catch {
    return;
  }
  if (!names.some(({ name }) => name === 'PG_VERSION')) {
    for (const each of names) if (each.isDirectory()) noteRecorded(join(directory, each.name), memory);
    return;
  }
  try {
    const lines = readFileSync(join(directory, 'postmaster.pid'), 'latin1').split('\n');
    const [key, id] = (lines[6] ?? '').trim().split(/\s+/).map(Number);
    // Ids come again, and a sandbox has its own: it is this one only if the same process made it under the same key.
    if (segments().some((each) => each.id === id && each.key === key && each.maker === Number(lines[0])))
      memory.segments.add(id);
  } catch {}
}

/** Removes what was noted and nobody uses any more. */
export function removeMemory(memory) {
  for (const file of memory.files) rmSync(file, { force: true });
  const left = segments().filter(({ id, users }) => users === 0 && memory.segments.has(id));
  for (const { id } of left) {
    try {
      execFileSync('ipcrm', ['-m', String(id)], { stdio: 'ignore' });
    } catch {}
  }
}

function segments() {
  try {
    return readFileSync('/proc/sysvipc/shm', 'latin1')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => {
        const [key, id, , , maker, , users] = line.trim().split(/\s+/).map(Number);
        return { key, id, maker, users };
      });
  } catch {
    return [];
  }
}
