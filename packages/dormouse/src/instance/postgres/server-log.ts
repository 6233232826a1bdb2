import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { copyFile, rm, stat, truncate } from 'node:fs/promises';

/** A log larger than this is moved to `.1`: enough for weeks of starts, and a thousand databases stay under 2 GiB. */
export const LOG_BYTES_MAX: number = 1024 * 1024;

/** The part of the end of a log that a message quotes. */
const TAIL_BYTES = 4096;
const TAIL_LINES = 5;

/**
 * Opens a server's log for appending. The server writes in append mode, so the file may be truncated meanwhile; lines
 * written between the copy and the truncation are lost, and the size is bounded.
 */
export function openLog(path: string): number {
  return openSync(path, 'a', 0o600);
}

/** Moves the content of the log to `.1` if it is over the bound. */
export async function rotateLog(path: string): Promise<void> {
  try {
    if ((await stat(path)).size <= LOG_BYTES_MAX) return;
    // On a full disk the old lines are lost, and the bound holds.
    await copyFile(path, `${path}.1`).catch(() => rm(`${path}.1`, { force: true }));
    await truncate(path, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
}

/** The size of the log: bytes after it belong to the next start. */
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
