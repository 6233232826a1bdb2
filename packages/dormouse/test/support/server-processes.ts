import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { processesOf } from './reaper.mjs';

// A server may be in a sandbox: what SQL and postmaster.pid call a process is then another on this machine, and its
// postmaster has a parent.

/**
 * The pid on this machine of the postmaster of a database's directory, as its platform recorded it; undefined when it
 * is stopped.
 */
export function postmasterPid(directory: string): number | undefined {
  try {
    const { pid } = JSON.parse(readFileSync(join(directory, 'process.json'), 'utf8')) as { pid: number };
    return processesOf(directory).includes(pid) ? pid : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The pid on this machine of the process of a database's directory that calls itself `pid`; undefined if there is none.
 */
export function hostPid(directory: string, pid: number): number | undefined {
  return processesOf(directory).find((each) => {
    try {
      const status = readFileSync(`/proc/${each}/status`, 'latin1');
      return !status.startsWith('Name:\tbwrap') && new RegExp(`^NSpid:.*\\t${pid}$`, 'm').test(status);
    } catch {
      return false;
    }
  });
}
