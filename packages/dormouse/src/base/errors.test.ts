import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DormouseError, ERRORS, type ErrorCode, toDormouseError } from './errors.ts';

const CODES = Object.keys(ERRORS) as ErrorCode[];

/** A row of docs/ERRORS.md as the table says it should be. */
function written(code: ErrorCode): string {
  const { kind, retry, status, prisma6Status, prisma6, prisma7, sqlstate, exit, message } = ERRORS[code];
  const six = status === prisma6Status ? prisma6 : `${prisma6} (${prisma6Status})`;
  return `| \`${code}\` | ${kind} | ${retry} | ${status} | ${six} | ${prisma7} | ${sqlstate} | ${exit} | ${message} |`;
}

describe('ERRORS', () => {
  it('equals docs/ERRORS.md, both ways and in the same order', () => {
    const file = fileURLToPath(new URL('../../../../docs/ERRORS.md', import.meta.url));
    const rows = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    expect(rows).toEqual(CODES.map(written));
  });

  it.each(CODES)('%s says something to each protocol', (code) => {
    const { status, prisma6Status, prisma6, prisma7, sqlstate, message } = ERRORS[code];
    expect(code).toMatch(/^[a-z][a-z_]*$/);
    for (const each of [status, prisma6Status]) expect(each >= 400 && each < 600).toBe(true);
    for (const each of [prisma6, prisma7]) expect(each).toMatch(/^P\d{4}$/);
    expect(sqlstate).toMatch(/^[0-9A-Z]{5}$/);
    // Whole sentences, and nothing that would break the document's table.
    expect(message).toMatch(/^[A-Z][^|\n]+\.$/);
  });

  it('gives exit code 1 to our own bugs only, and 3 to an interruption only', () => {
    expect(CODES.filter((code) => ERRORS[code].exit === 1)).toEqual(['internal']);
    expect(CODES.filter((code) => ERRORS[code].exit === 3)).toEqual(['interrupted']);
  });
});

describe('DormouseError', () => {
  it('says what the table says unless told better, and keeps its cause to itself', () => {
    const cause = new Error('inner');
    expect(new DormouseError('queue_full').publicMessage).toBe(ERRORS.queue_full.message);
    const error = new DormouseError('queue_full', { message: 'Better.', meta: { waiting: 3 }, cause });
    expect([error.publicMessage, error.meta, error.cause, error.kind, error.retry]).toEqual([
      'Better.',
      { waiting: 3 },
      cause,
      'limit',
      'again',
    ]);
  });

  it('tells what it knows of the machine to who runs it, not to who holds a key', () => {
    const told = 'Postgres does not start. The end of /var/lib/dormouse/databases/x/postgres.log says:\nFATAL';
    const error = new DormouseError('start_failed', { message: told });
    expect([error.publicMessage, error.operatorMessage]).toEqual([ERRORS.start_failed.message, told]);
  });

  it('takes any thrown value: its own as it is, others as a bug', () => {
    const own = new DormouseError('key_missing');
    expect(toDormouseError(own)).toBe(own);
    expect(toDormouseError('text')).toMatchObject({ code: 'internal', cause: 'text' });
  });
});
