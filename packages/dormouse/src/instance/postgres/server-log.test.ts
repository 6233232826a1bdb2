import { closeSync, existsSync, readFileSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Scratch, scratch } from '../../../test/support/scratch.ts';
import { LOG_BYTES_MAX, logSize, logTail, openLog, rotateLog } from './server-log.ts';

let home: Scratch;
let path: string;
beforeEach(() => {
  home = scratch('log');
  path = join(home.path, 'postgres.log');
});
afterEach(() => home.remove());

it('a log is truncated while its writer goes on, and one old part is kept', async () => {
  const fd = openLog(path);
  writeSync(fd, 'a'.repeat(LOG_BYTES_MAX));
  await rotateLog(path);
  expect(statSync(path).size).toBe(LOG_BYTES_MAX);
  writeSync(fd, 'b');
  await rotateLog(path);
  writeSync(fd, 'after');
  closeSync(fd);
  expect(readFileSync(path, 'utf8')).toBe('after');
  expect(statSync(`${path}.1`).size).toBe(LOG_BYTES_MAX + 1);
});

it('a log that does not exist is no error', async () => {
  await rotateLog(path);
  expect(existsSync(path)).toBe(false);
  expect(logTail(path, 0)).toBe('');
});

it('a message quotes the last lines of this start only', () => {
  writeFileSync(path, 'an earlier start\n');
  const fd = openLog(path);
  const offset = logSize(fd);
  writeSync(fd, Array.from({ length: 20 }, (_, n) => `line ${n}\n`).join(''));
  closeSync(fd);
  expect(logTail(path, offset).split('\n')).toEqual(['line 15', 'line 16', 'line 17', 'line 18', 'line 19']);
  writeFileSync(path, 'begun anew');
  expect(logTail(path, offset)).toBe('begun anew');
});
