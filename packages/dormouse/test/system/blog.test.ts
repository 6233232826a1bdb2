import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Platform, startPlatform } from '../support/platform.ts';

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url));

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform({ flags: ['--suspend-after', 'never', '--stop-after', 'never'] });
});
afterAll(() => platform?.stop());

/** Runs `npm run blog` from the root of the repository, as a newcomer does. */
function blog(environment: Record<string, string>, ...flags: string[]) {
  return new Promise<{ code: unknown; out: string; err: string }>((resolve) => {
    const clean = { ...process.env };
    for (const name of ['DORMOUSE_URL', 'DORMOUSE_TOKEN', 'DATABASE_URL', 'POSTGRES_URL']) delete clean[name];
    const options = { cwd: ROOT, env: { ...clean, ...environment } };
    execFile('npm', ['run', '--silent', 'blog', '--', ...flags], options, (error, out, err) =>
      resolve({ code: error === null ? 0 : error.code, out, err }),
    );
  });
}

/** The table that the example prints: the cells of each row by their headings. */
function rowsOf(out: string): Map<string, Record<string, string>> {
  const lines = out.split('\n').map((line) => line.trim().split(/ {2,}/));
  const headings = lines.find(([first]) => first === 'QUERY') ?? [];
  const cells = lines.filter((line) => line.length === headings.length && line[0] !== 'QUERY');
  return new Map(
    cells.map((line) => [line[0] ?? '', Object.fromEntries(headings.map((name, i) => [name, line[i] ?? '']))]),
  );
}

describe('examples/blog', () => {
  for (const round of ['on a new database', 'on the same database again']) {
    it(`the example shows where the time of each query goes, and its events, ${round}`, async () => {
      const { code, out, err } = await blog({ DORMOUSE_URL: platform.http, DORMOUSE_TOKEN: platform.adminToken });
      expect([code, err]).toEqual([0, '']);
      const rows = rowsOf(out);
      const number = /^\d+\.\d\d$/;
      const passed = (query: string, ...stages: string[]) => {
        const row = rows.get(query);
        for (const stage of ['auth', 'cache', 'wake', 'queue', 'sql', 'total']) {
          if (stages.includes(stage)) expect(row?.[stage], `${stage} of "${query}"`).toMatch(number);
          else expect(row?.[stage], `${stage} of "${query}"`).toBe('·');
        }
      };
      passed('awake, again', 'auth', 'queue', 'sql', 'total');
      passed('after it was frozen', 'auth', 'wake', 'queue', 'sql', 'total');
      passed('after it was stopped', 'auth', 'wake', 'queue', 'sql', 'total');
      passed('cached for a minute, first', 'auth', 'cache', 'queue', 'sql', 'total');
      passed('cached for a minute, again', 'auth', 'cache', 'total');
      passed('publish it', 'auth', 'queue', 'sql', 'total');
      expect(rows.get('cached for a second, later')?.sql).toBe('·');
      expect([...rows].map(([, row]) => row['CACHE STATUS'])).toEqual([
        ...['none', 'none', 'none', 'none'],
        ...['miss', 'ttl', 'swr'],
        ...['none', 'none', 'none', 'none'],
      ]);

      const events = out
        .split('\n')
        .map((line) => /^ {2}(\S+) {2}(create|update|delete) +(\{.*\})$/.exec(line))
        .filter((match) => match !== null);
      expect(events.map((match) => match[2])).toEqual(['create', 'update', 'delete']);
      const [created, updated, deleted] = events.map((match) => JSON.parse(match[3] ?? ''));
      expect([created.published, updated.published]).toEqual([false, true]);
      expect([updated.id, deleted.id]).toEqual([created.id, created.id]);
      const positions = events.map((match) => match[1]);
      expect([...positions].sort()).toEqual(positions);
    });
  }

  it('the example finds the platform by its data directory', async () => {
    const { code, out } = await blog({}, '--data', platform.data);
    expect(code).toBe(0);
    expect(out).toContain('Blog in the database blog: 4 posts.');
  });

  it('the example works with URLs alone', async () => {
    const { prismaUrl, postgresUrl } = await platform.createDatabase('urls');
    const { code, out, err } = await blog({ DATABASE_URL: prismaUrl, POSTGRES_URL: postgresUrl });
    expect([code, err]).toEqual([0, '']);
    expect(out).toContain('(new): 4 posts.');
    expect(rowsOf(out).has('after it was stopped')).toBe(false);
  });

  it('the example says what is missing', async () => {
    const { code, err } = await blog({}, '--data', '/nowhere');
    expect(code).toBe(1);
    expect(err).toContain('npm start');
    expect((await blog({ DATABASE_URL: 'prisma+postgres://127.0.0.1:1/?api_key=x' })).err).toContain('POSTGRES_URL');
  });
});
