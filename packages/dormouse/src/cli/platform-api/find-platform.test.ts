import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { recordedContext } from '../../../test/support/recorded-context.ts';
import { run } from '../command-line/run.ts';
import { allCommands } from '../commands/index.ts';

const commands = allCommands();
const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

/** A server that gives one reply and keeps what it was asked. */
async function answering(status: number, body: string, headers: Record<string, string> = {}) {
  const seen: { method: string | undefined; url: string | undefined; authorization: string | undefined }[] = [];
  const server = createServer((request, reply) => {
    seen.push({ method: request.method, url: request.url, authorization: request.headers.authorization });
    reply.writeHead(status, headers).end(body);
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, seen };
}

const admin = (url: string) => JSON.stringify({ url, adminToken: 'secret' });
const empty = '{"databases":[]}';

async function listing(words: readonly string[], context: ReturnType<typeof recordedContext>) {
  const code = await run(['db', 'list', '--json', ...words], commands, context);
  return { code, out: context.out(), err: context.err() };
}

describe('where the platform is', () => {
  it('the address comes from the default data directory, and root has another default', async () => {
    const { url, seen } = await answering(200, empty);
    const user = recordedContext({ files: { '/home/ada/.dormouse/admin.json': admin(url) } });
    expect(await listing([], user)).toEqual({ code: 0, out: '[]\n', err: '' });
    const root = recordedContext({ userId: 0, files: { '/var/lib/dormouse/admin.json': admin(url) } });
    expect(await listing([], root)).toMatchObject({ code: 0 });
    expect(seen).toEqual([
      { method: 'GET', url: '/api/databases', authorization: 'Bearer secret' },
      { method: 'GET', url: '/api/databases', authorization: 'Bearer secret' },
    ]);
  });

  it('the address comes from the directory of --data, relative to the working directory', async () => {
    const { url } = await answering(200, empty);
    const context = recordedContext({ files: { '/home/ada/d/admin.json': admin(url) } });
    expect(await listing(['--data', 'd'], context)).toMatchObject({ code: 0 });
  });

  it('flags take precedence over the environment, and the environment over the file', async () => {
    const { url, seen } = await answering(200, empty);
    const files = { '/home/ada/.dormouse/admin.json': admin('http://127.0.0.1:1') };
    const environment = { DORMOUSE_URL: 'http://127.0.0.1:2', DORMOUSE_TOKEN: 'theirs' };
    expect(await listing(['--url', url], recordedContext({ files, environment }))).toMatchObject({ code: 0 });
    const named = { DORMOUSE_URL: url, DORMOUSE_TOKEN: 'theirs' };
    expect(await listing(['--token', 'mine'], recordedContext({ files, environment: named }))).toMatchObject({
      code: 0,
    });
    expect(seen.map((one) => one.authorization)).toEqual(['Bearer theirs', 'Bearer mine']);
  });

  it('the token of a data directory is never sent to another address', async () => {
    const context = recordedContext({ files: { '/home/ada/.dormouse/admin.json': admin('http://127.0.0.1:1') } });
    const sent: unknown[] = [];
    const watched = { ...context, fetch: (async (...input: unknown[]) => sent.push(input)) as unknown as typeof fetch };
    const { code, err } = await listing(['--url', 'https://db.example.com'], watched);
    expect(code).toBe(2);
    expect(err).toContain('There is no admin token for https://db.example.com');
    expect(sent).toEqual([]);
  });
});

describe('nothing there', () => {
  it.each([
    ['no file', {}, [], 'No Dormouse runs on /home/ada/.dormouse. Start one with `dormouse start`'],
    [
      'no process on the port',
      { '/home/ada/.dormouse/admin.json': admin('http://127.0.0.1:9') },
      [],
      'No running Dormouse answers at http://127.0.0.1:9 (from /home/ada/.dormouse/admin.json)',
    ],
    ['a file of another program', { '/home/ada/.dormouse/admin.json': '[]' }, [], 'is not what a running Dormouse'],
    [
      'a file without permission',
      { '/home/ada/.dormouse/admin.json': Object.assign(new Error('no'), { code: 'EACCES' }) },
      [],
      'cannot be read (EACCES)',
    ],
  ])('the command fails with an explanation: %s', async (_name, files, words, message) => {
    const { code, out, err } = await listing(words, recordedContext({ files }));
    expect(err).toContain(message);
    expect([code, out]).toEqual([2, '']);
  });
});

describe('what answers is not as it should be', () => {
  const asking = async (status: number, body: string, headers?: Record<string, string>) => {
    const { url } = await answering(status, body, headers);
    return listing(['--url', url, '--token', 't'], recordedContext());
  };

  it('a reply of another program is reported as such', async () => {
    for (const [status, body] of [
      [404, '<html>'],
      [200, '<html>'],
      [500, ''],
      [200, '{"databases":1}'],
      [200, '{"databases":[{}]}'],
      [200, 'null'],
      [403, '{"code":"toString"}'],
    ] as const) {
      const { code, out, err } = await asking(status, body);
      expect(err).toMatch(/not as Dormouse does|does not describe/);
      expect([code, out]).toEqual([2, '']);
    }
  });

  it('no redirect is followed, because it would carry the token to another host', async () => {
    const { url, seen } = await answering(200, empty);
    const { code } = await asking(302, '', { location: `${url}/api/databases` });
    expect(code).toBe(2);
    expect(seen).toEqual([]);
  });

  it('an error of the platform is printed as it came', async () => {
    const { code, err } = await asking(401, '{"code":"admin_token_invalid","message":"That token is old."}');
    expect([code, err]).toEqual([2, 'dormouse: That token is old. [admin_token_invalid]\n']);
    const bug = await asking(500, '{"code":"internal","message":"A bug."}');
    expect([bug.code, bug.err]).toEqual([1, 'dormouse: A bug. [internal]\n']);
  });
});

describe('db delete', () => {
  const detail = JSON.stringify({
    id: 'db_1',
    name: 'shop',
    state: 'stopped',
    createdAtMs: 1,
    memoryBytes: null,
    rest: { suspendAfterMs: 5000, stopAfterMs: 'never', alwaysOn: false, listenKeepsAwake: false, own: [] },
    keys: 1,
    operationsToday: 0,
    pulseUrl: 'ws://h',
  });
  const deleting = async (words: readonly string[], answers?: readonly string[]) => {
    const { url, seen } = await answering(200, detail);
    const context = recordedContext(answers === undefined ? {} : { answers });
    const code = await run(['db', 'delete', 'shop', '--url', url, '--token', 't', ...words], commands, context);
    return { code, err: context.err(), out: context.out(), methods: seen.map((one) => `${one.method} ${one.url}`) };
  };
  const asked = 'GET /api/databases/shop';
  const deleted = 'DELETE /api/databases/db_1';

  it('db delete asks for confirmation, and only the name of the database confirms', async () => {
    expect(await deleting([], ['shop'])).toMatchObject({ code: 0, out: 'Deleted shop.\n', methods: [asked, deleted] });
    for (const answers of [['y'], ['SHOP'], ['']] as const) {
      expect(await deleting([], answers)).toMatchObject({ code: 3, methods: [asked] });
    }
    expect(await deleting([], [])).toMatchObject({ code: 3, methods: [asked] });
  });

  it('db delete needs --yes where no one can confirm', async () => {
    const { code, err, methods } = await deleting([]);
    expect([code, methods]).toEqual([2, [asked]]);
    expect(err).toContain('add --yes');
    expect(await deleting(['--yes', '--json'])).toMatchObject({ code: 0, methods: [asked, deleted] });
  });
});
