// Runs in a pid namespace of its own, where the next pid can be chosen: a recorded pid comes to name a stranger. Prints
// what was seen, as one JSON object.
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { queryOnce, startOwner, testId } from './instance-owner.ts';
import { killProcessesOf, processesOf } from './reaper.mjs';
import { until } from './until.ts';

interface ProcessFile {
  readonly pid: number;
  readonly startTime: string;
}

const NEXT_PID = '/proc/sys/kernel/ns_last_pid';

function startTimeOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

/** A harmless process that bears this pid; others may take it first, so it is tried again. */
async function strangerAt(pid: number): Promise<ChildProcess> {
  return until(
    async () => {
      writeFileSync(NEXT_PID, String(pid - 1));
      const child = spawn('sleep', ['1000'], { stdio: 'ignore' });
      if (child.pid === pid) return child;
      child.kill('SIGKILL');
      return undefined;
    },
    { what: `a process of pid ${pid}` },
  );
}

const dataDirectory = process.argv[2] as string;
const id = testId(1);
const record = (directory: string): ProcessFile =>
  JSON.parse(readFileSync(join(directory, 'process.json'), 'utf8')) as ProcessFile;

let owner = await startOwner({ dataDirectory });
await owner.prepare();
const { directory } = await owner.create(id);
const { socket } = await owner.hold(id);
await queryOnce(socket, 'CREATE TABLE t (i int)');
await queryOnce(socket, 'INSERT INTO t VALUES (1)');
await owner.release(id);
await owner.suspend(id);
const old = record(directory);
await owner.kill();
killProcessesOf(directory);
// A pid is free once its remains are reaped.
await until(() => startTimeOf(old.pid) === undefined, { what: 'the old postmaster to be gone' });
const stranger = await strangerAt(old.pid);
const strangerStart = startTimeOf(old.pid);

owner = await startOwner({ dataDirectory });
await owner.prepare();
const { adopted } = await owner.recover([id]);
const held = await owner.hold(id);
const rows = await queryOnce(held.socket, 'SELECT i FROM t');
await owner.release(id);
await owner.suspend(id);
await owner.wake(id);
await owner.stop(id);
const strangerLives = stranger.exitCode === null && startTimeOf(old.pid) === strangerStart;
stranger.kill('SIGKILL');
await owner.destroy(id);
await owner.close();
console.log(JSON.stringify({ adopted, rows, strangerLives, leftBehind: processesOf(directory) }));
process.exit(0);
