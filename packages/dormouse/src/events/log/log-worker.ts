/** The worker thread that holds the log files: opened while needed, a bounded number open. */
import { parentPort } from 'node:worker_threads';
import { assert, cryptoRandom, DormouseError, type ErrorCode, unreachable } from '../../base/index.ts';
import { collector } from './collect.ts';
import { LogFile } from './log-file.ts';
import type { LogReply, LogRequest } from './log-protocol.ts';

/** Each open file costs about 100 kB and three descriptors; opening one again takes a millisecond. */
const OPEN_FILES_MAX = 64;

const port = parentPort;
assert(port !== null, 'runs as a worker');

/**
 * Closed files whose descriptors may still be open; then they are let go of. A collection of this thread's small heap
 * takes a few ms.
 */
const CLOSED_FILES_MAX = 32;

const collect = collector();
let closed = 0;

/** By path, least recently used first. */
const files = new Map<string, LogFile>();

function open(request: LogRequest): LogFile {
  let file = files.get(request.path);
  if (file === undefined) {
    file = new LogFile(request.path, request.limits, cryptoRandom);
    if (files.size >= OPEN_FILES_MAX) {
      const [oldest] = files.keys();
      close(oldest as string);
    }
  } else {
    files.delete(request.path);
  }
  files.set(request.path, file);
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

function answer(request: LogRequest): unknown {
  const { ask } = request;
  if (ask.call === 'close') return close(request.path);
  const file = open(request);
  switch (ask.call) {
    case 'state':
      return file.state();
    case 'epochs':
      return file.epochs();
    case 'checkEpoch':
      return file.checkEpoch(ask.position, ask.epoch);
    case 'begin':
      return file.begin(ask.history, ask.lsn);
    case 'newEpoch':
      return file.newEpoch(ask.nowMs);
    case 'discardPending':
      return file.discardPending();
    case 'tables':
      return file.tables();
    case 'append':
      return file.append(ask.batch);
    case 'read':
      return file.read(ask.request);
    case 'hasTable':
      return file.hasTable(ask.table);
    case 'noteTables':
      return file.noteTables(ask.text);
    case 'notedTables':
      return file.notedTables();
    case 'cursor':
      return file.cursors.get(ask.key);
    case 'saveCursor':
      return file.cursors.save(ask.key, ask.position, ask.nowMs);
    case 'deleteCursor':
      return file.cursors.delete(ask.key);
    case 'cursors':
      return file.cursors.all();
    case 'trim':
      return file.trim(ask.nowMs);
    default:
      return unreachable(ask);
  }
}

/** What a failure of SQLite means to the platform. */
function codeOf(error: unknown): ErrorCode {
  if (error instanceof DormouseError) return error.code;
  const code = String((error as { code?: unknown }).code ?? '');
  if (code.startsWith('SQLITE_FULL') || /disk is full|ENOSPC/.test(String(error))) return 'disk_full';
  if (/^SQLITE_(CANTOPEN|CORRUPT|NOTADB|READONLY|IOERR|PERM|AUTH)/.test(code)) return 'data_unusable';
  return 'internal';
}

port.on('message', (request: LogRequest) => {
  let reply: LogReply;
  try {
    reply = { id: request.id, ok: true, value: answer(request) };
  } catch (error) {
    const code = codeOf(error);
    const message = error instanceof DormouseError ? error.message : '';
    reply = { id: request.id, ok: false, code, message, cause: String(error) };
  }
  port.postMessage(reply);
});
