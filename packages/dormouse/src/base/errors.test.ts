import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { DormouseError, ERRORS, type ErrorCode, toDormouseError } from './errors.ts';

const CODES = Object.keys(ERRORS) as ErrorCode[];

/** A row of docs/ERRORS.md as the table says it should be. */
function written(code: ErrorCode): string {
  const { kind, retry, status, prisma6, prisma7, sqlstate, message } = ERRORS[code];
  const { exit } = new DormouseError(code);
  return `| \`${code}\` | ${kind} | ${retry} | ${status} | ${prisma6} | ${prisma7} | ${sqlstate} | ${exit} | ${message} |`;
}

describe('ERRORS', () => {
  it('the error table has the same rows as docs/ERRORS.md, in the same order', () => {
    const file = fileURLToPath(new URL('../../../../docs/ERRORS.md', import.meta.url));
    const rows = readFileSync(file, 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('| `'));
    expect(rows).toEqual(CODES.map(written));
  });

  it.each(CODES)('the error %s has a status, a code for each protocol and a message of whole sentences', (code) => {
    const { status, prisma6, prisma7, sqlstate, message } = ERRORS[code];
    expect(code).toMatch(/^[a-z][a-z_]*$/);
    expect(status >= 400 && status < 600).toBe(true);
    for (const each of [prisma6, prisma7]) expect(each).toMatch(/^P\d{4}$/);
    expect(sqlstate).toMatch(/^[0-9A-Z]{5}$/);
    // Whole sentences, and nothing that would break the document's table.
    expect(message).toMatch(/^[A-Z][^|\n]+\.$/);
  });

  it('every code of the error table is raised somewhere', () => {
    const source = fileURLToPath(new URL('..', import.meta.url));
    const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter(
      (file) => file.endsWith('.ts') && !file.endsWith('.test.ts') && file !== join('base', 'errors.ts'),
    );
    const text = files.map((file) => readFileSync(join(source, file), 'utf8')).join('\n');
    const isRaised = (code: string): boolean => new RegExp(`DormouseError\\(\\s*'${code}'`).test(text);
    expect(CODES.filter((code) => !isRaised(code))).toEqual([]);
    // The search reads the sources, and does not find a code that nothing raises.
    expect(files.length).toBeGreaterThan(300);
    expect(isRaised('never_raised')).toBe(false);
  });

  it('only bugs of Dormouse have the exit code 1, and only an interruption has the exit code 3', () => {
    expect(CODES.filter((code) => new DormouseError(code).exit === 1)).toEqual(['internal']);
    expect(CODES.filter((code) => new DormouseError(code).exit === 3)).toEqual(['interrupted']);
  });
});

describe('DormouseError', () => {
  it('an error has the message of the table unless its thrower gives another one, and does not show its cause', () => {
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

  it('an error shows details of the machine to the operator of the platform, but not to the holder of a key', () => {
    const told = 'Postgres does not start. The end of /var/lib/dormouse/databases/x/postgres.log says:\nFATAL';
    const error = new DormouseError('start_failed', { message: told });
    expect([error.publicMessage, error.operatorMessage]).toEqual([ERRORS.start_failed.message, told]);
  });

  it('toDormouseError returns a DormouseError as it is, and reports any other thrown value as a bug', () => {
    const own = new DormouseError('key_missing');
    expect(toDormouseError(own)).toBe(own);
    expect(toDormouseError('text')).toMatchObject({ code: 'internal', cause: 'text' });
  });
});
