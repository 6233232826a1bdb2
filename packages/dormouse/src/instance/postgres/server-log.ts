import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { copyFile, rm, stat, truncate } from 'node:fs/promises';

/** A log over this is moved to `.1`: enough for weeks of starts, and a thousand databases stay under 2 GiB. */
export const LOG_BYTES_MAX: number = 1024 * 1024;

/** What a message quotes from the end of a log. */
const TAIL_BYTES = 4096;
const TAIL_LINES = 5;

/**
 * Opens a server's log for appending. Whoever writes does so in append mode, so cutting the file off under him is safe;
 * what is written between copy and cut is lost, and the size is bounded.
 */
export function openLog(path: string): number {
  return openSync(path, 'a', 0o600);
}

/** Moves the log to `.1` if it is over the bound. */
export async function rotateLog(path: string): Promise<void> {
  try {
    if ((await stat(path)).size <= LOG_BYTES_MAX) return;
    // On a full disk the old lines go, not the bound.
    await copyFile(path, `${path}.1`).catch(() => rm(`${path}.1`, { force: true }));
    await truncate(path, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** How long the log is: what comes after belongs to the next start. */
export function logSize(fd: number): number {
  return fstatSync(fd).size;
}

/** The last lines that were written from `offset` on. */
export function logTail(path: string, offset: number): string {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch {
    return '';
  }
  try {
    const { size } = fstatSync(fd);
    const from = Math.max(size - TAIL_BYTES, offset <= size ? offset : 0);
    const buffer = Buffer.alloc(Math.max(0, size - from));
    const length = readSync(fd, buffer, 0, buffer.length, from);
    return buffer.toString('utf8', 0, length).trim().split('\n').slice(-TAIL_LINES).join('\n');
  } finally {
    closeSync(fd);
  }
}
