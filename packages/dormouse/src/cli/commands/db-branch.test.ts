import { describe, expect, it } from 'vitest';
import { recordedContext } from '../../../test/support/recorded-context.ts';
import type { ProcessContext } from '../command-line/process-context.ts';
import { run } from '../command-line/run.ts';
import { dbBranch } from './db-branch.ts';

const BRANCH = {
  ...{
    id: 'db_2',
    name: 'copy',
    state: 'creating',
    createdAtMs: 1,
    keys: 1,
    rest: { own: [] },
    operationsToday: 0,
    progress: null,
    branched: null,
  },
  ...{
    prismaUrl: 'prisma+postgres://h/?api_key=k',
    postgresUrl: 'postgres://k:s@h/postgres',
    pulseUrl: 'ws://h',
    apiKey: 'k',
  },
};
const GIB = 2 ** 30;

/** A platform that answers each look at the branch with the next of these, and keeps what it was asked. */
function platform(looks: readonly object[], onLook: (look: number) => void = () => {}) {
  const asked: string[] = [];
  let look = 0;
  const answer: ProcessContext['fetch'] = async (url, init) => {
    const { method = 'GET', signal, body } = init ?? {};
    signal?.throwIfAborted();
    asked.push(`${method} ${new URL(String(url)).pathname}${body === undefined ? '' : ` ${String(body)}`}`);
    if (method !== 'GET') return Response.json(method === 'POST' ? BRANCH : { id: BRANCH.id });
    onLook(look);
    return Response.json({ ...BRANCH, ...looks[Math.min(look++, looks.length - 1)] });
  };
  return { asked, answer };
}

const LINE = ['db', 'branch', 'shop', 'copy', '--url', 'http://h', '--token', 't'];

describe('db branch', () => {
  it('on a terminal the progress of the copy is shown and then wiped, and the result says how the branch was made', async () => {
    const { asked, answer } = platform([
      { progress: { doneBytes: 0.5 * GIB, totalBytes: 2 * GIB } },
      { state: 'stopped', branched: { way: 'stream', pausedMs: 0 } },
    ]);
    const context = { ...recordedContext({ tty: true }), fetch: answer };
    expect(await run(LINE, [dbBranch], context)).toBe(0);
    expect(asked).toEqual([
      'POST /api/databases/shop/branches {"name":"copy","atRest":false,"wait":false}',
      'GET /api/databases/db_2',
      'GET /api/databases/db_2',
    ]);
    expect(context.err()).toMatch(/^\rCopying: 512 MiB of about 2\.0 GiB\r +\r$/);
    expect(context.out()).toContain('The source kept serving during the copy. Unlogged tables are empty in the copy.');
  });

  it('with --json only the result is printed, and without a terminal no progress is shown', async () => {
    const looks = [
      { progress: { doneBytes: 1, totalBytes: 2 } },
      { state: 'stopped', branched: { way: 'files', pausedMs: 0 } },
    ];
    for (const [more, tty] of [[['--json', '--at-rest'], true] as const, [[], false] as const]) {
      const { answer } = platform(looks);
      const context = { ...recordedContext({ tty }), fetch: answer };
      expect(await run([...LINE, ...more], [dbBranch], context)).toBe(0);
      expect(context.err()).toBe('');
      if (more.length > 0) {
        expect(Object.keys(JSON.parse(context.out()))).toEqual([
          'id',
          'name',
          'prismaUrl',
          'postgresUrl',
          'pulseUrl',
          'apiKey',
        ]);
      }
    }
  });

  it('an interrupted command deletes the unfinished branch', async () => {
    const context = recordedContext();
    const { asked, answer } = platform([{}], (look) => {
      if (look === 2) context.press('SIGINT');
    });
    expect(await run(LINE, [dbBranch], { ...context, fetch: answer })).toBe(3);
    expect(asked.at(-1)).toBe('DELETE /api/databases/db_2');
    expect(context.err()).toContain('Nothing of copy is left.');
  });
});
