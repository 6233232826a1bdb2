/** The worker thread that holds the log files. A call opens its file; the number of open files is bounded. */
import { parentPort } from 'node:worker_threads';
import { assert, cryptoRandom, DormouseError, diskFailure, type ErrorCode } from '../../base/index.ts';
import { answerCalls } from '../../threads/index.ts';
import { garbageCollector } from './garbage-collector.ts';
import type { LogCalls, LogFileName } from './log-calls.ts';
import { LogFile } from './log-file.ts';

/** Each open file costs about 100 kB and three descriptors; opening a file again takes a millisecond. */
const OPEN_FILES_MAX = 64;

/**
 * Closed files whose descriptors may still be open. At this number the garbage is collected, which closes the
 * descriptors; a collection of this thread's small heap takes a few ms.
 */
const CLOSED_FILES_MAX = 32;

const collect = garbageCollector();
let closed = 0;

/** By path, least recently used first. */
const files = new Map<string, LogFile>();

function open({ path, limits }: LogFileName): LogFile {
  let file = files.get(path);
  if (file === undefined) {
    file = new LogFile(path, limits, cryptoRandom);
    if (files.size >= OPEN_FILES_MAX) {
      const [oldest] = files.keys();
      close(oldest as string);
    }
  } else {
    files.delete(path);
  }
  files.set(path, file);
  return file;
}

function close(path: string): void {
  const file = files.get(path);
  if (file === undefined) return;
  file.close();
  files.delete(path);
  closed += 1;
  if (closed < CLOSED_FILES_MAX) return;
  closed = 0;
  collect();
}

const answers: LogCalls = {
  state: (file) => open(file).state(),
  epochs: (file) => open(file).epochs(),
  checkEpoch: (file, position, epoch) => open(file).checkEpoch(position, epoch),
  begin: (file, history, lsn) => open(file).begin(history, lsn),
  newEpoch: (file, nowMs) => open(file).newEpoch(nowMs),
  discardPending: (file) => open(file).discardPending(),
  tables: (file) => open(file).tables(),
  append: (file, batch) => open(file).append(batch),
  read: (file, request) => open(file).read(request),
  hasTable: (file, table) => open(file).hasTable(table),
  noteTables: (file, text) => open(file).noteTables(text),
  notedTables: (file) => open(file).notedTables(),
  cursor: (file, key) => open(file).cursors.get(key),
  saveCursor: (file, key, position, nowMs) => open(file).cursors.save(key, position, nowMs),
  deleteCursor: (file, key) => open(file).cursors.delete(key),
  cursors: (file) => open(file).cursors.all(),
  trim: (file, nowMs) => open(file).trim(nowMs),
  close: ({ path }) => close(path),
};

/** What a failure of SQLite means to the platform. */
function codeOf(error: unknown): ErrorCode {
  if (error instanceof DormouseError) return error.code;
  return diskFailure((error as { code?: unknown }).code) ?? 'internal';
}

assert(parentPort !== null, 'runs as a worker');
answerCalls(parentPort, answers, codeOf);
