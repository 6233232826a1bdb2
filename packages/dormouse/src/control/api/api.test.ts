import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { cryptoRandom, type MinimalReply, NO_LIMITS, silentLogger } from '../../base/index.ts';
import { Admission, Control, createApi, type Fleet, Registry, Secrets } from '../index.ts';

/** The parts of replies that these tests read; absent where a reply has none. */
interface Body {
  readonly id: string;
  readonly keys: unknown;
  readonly revokedAtMs: number;
}

const secrets = new Secrets(new Uint8Array(32).fill(3));
const fleet: Fleet = {
  create: async () => {},
  branch: async () => ({ way: 'files', pausedMs: 0 }),
  destroy: async () => {},
  suspend: async () => {},
  stop: async () => {},
  wake: async () => {},
  setRest: () => {},
  setLimits: async () => {},
  memoryBytes: () => 0,
  state: () => 'stopped',
  describe: () => ({}),
  onState: () => () => {},
};

describe('createApi', () => {
  let directory: string;
  let clock: ManualClock;
  let control: Control;
  let api: ReturnType<typeof createApi>;

  const addressesAt = (publicUrl: string) => ({ publicUrl, httpPort: 4400, postgresPort: 5440 });
  const openApi = (publicUrl: string): void => {
    api = createApi({
      control,
      admission: new Admission({ secrets, addresses: addressesAt(publicUrl), clock }),
      log: silentLogger,
      status: () => ({ version: '1' }),
    });
  };

  beforeEach(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'dormouse-api-'));
    clock = new ManualClock();
    const registry = new Registry(path.join(directory, 'registry.db'));
    control = new Control({
      registry,
      secrets,
      clock,
      random: cryptoRandom,
      log: silentLogger,
      bootId: 'boot-1',
      rest: { suspendAfterMs: 5000, stopAfterMs: 300_000, alwaysOn: false, listenKeepsAwake: false },
      limits: NO_LIMITS,
      addresses: addressesAt('http://127.0.0.1:4400'),
    });
    await control.start(fleet, 18);
    openApi('http://127.0.0.1:4400');
  });
  afterEach(() => {
    control.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const admin = { host: '127.0.0.1:4400', authorization: `Bearer ${secrets.adminToken}` };
  const send = async (
    method: string,
    url: string,
    body?: unknown,
    headers: Record<string, string> = admin,
  ): Promise<{ status: number; json: Body; reply: MinimalReply }> => {
    const bytes = new TextEncoder().encode(
      body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body),
    );
    const reply = await api({ method, path: url, search: '', header: (name) => headers[name], body: bytes });
    return { status: reply.status, json: JSON.parse(reply.body === '' ? '{}' : String(reply.body)) as Body, reply };
  };

  it('the API creates, shows, changes and deletes databases and keys', async () => {
    const created = await send('POST', '/api/databases', { name: 'main' });
    expect(created).toMatchObject({ status: 201, json: { name: 'main', state: 'stopped' } });
    expect((await send('GET', '/api/databases')).json).toEqual({
      databases: [expect.objectContaining({ id: created.json.id, keys: 1 })],
    });
    expect((await send('GET', '/api/databases')).reply.body).not.toContain('api_key');
    for (const verb of ['suspend', 'stop', 'wake']) {
      expect(await send('POST', `/api/databases/main/${verb}`)).toMatchObject({
        status: 200,
        json: { id: created.json.id },
      });
    }
    const key = await send('POST', `/api/databases/${created.json.id}/keys`, { role: 'reader' });
    expect(key).toMatchObject({ status: 201, json: { role: 'reader', label: null, apiKey: expect.any(String) } });
    expect((await send('GET', '/api/databases/main/keys')).json.keys).toHaveLength(2);
    expect((await send('GET', `/api/databases/main/keys/${key.json.id}`)).json).toEqual(key.json);
    expect((await send('DELETE', `/api/databases/main/keys/${key.json.id}`)).json.revokedAtMs).toBe(clock.now());
    expect((await send('GET', '/api/status')).json).toEqual({
      version: '1',
      databases: { total: 1, byState: { stopped: 1 } },
      operationsToday: 0,
    });
    expect(await send('DELETE', '/api/databases/main')).toMatchObject({
      status: 200,
      json: { id: created.json.id, name: 'main' },
    });
    expect((await send('GET', '/api/databases')).json).toEqual({ databases: [] });
  });

  it.each([
    ['POST', '/api/databases', '{', 400, 'request_invalid'],
    ['POST', '/api/databases', '[]', 400, 'request_invalid'],
    ['POST', '/api/databases', '{}', 400, 'request_invalid'],
    ['POST', '/api/databases', '{"name":1}', 400, 'request_invalid'],
    ['POST', '/api/databases', '{"name":"A"}', 400, 'name_invalid'],
    ['GET', '/api/databases/none', '', 404, 'database_unknown'],
    ['GET', '/api/databases/%zz', '', 400, 'request_invalid'],
    ['PATCH', '/api/databases', '', 405, 'method_not_allowed'],
    ['POST', '/api/status', '', 405, 'method_not_allowed'],
    ['PUT', '/api/session', '', 405, 'method_not_allowed'],
    ['GET', '/api/nothing', '', 404, 'route_unknown'],
    ['GET', '/api', '', 404, 'route_unknown'],
    ['GET', '/api/databases/a/b/c/d', '', 404, 'route_unknown'],
  ])('%s %s with the body %s is refused with %s and %s', async (method, url, body, status, code) => {
    expect(await send(method, url, body)).toMatchObject({ status, json: { code, message: expect.any(String) } });
  });

  it('a method that a route does not take is answered with the methods that it takes', async () => {
    expect((await send('PATCH', '/api/databases')).reply.headers.allow).toBe('GET, POST');
  });

  it('only requests with the admin token are admitted', async () => {
    for (const authorization of ['Bearer x', 'Bearer ', secrets.adminToken, `Basic ${secrets.adminToken}`]) {
      expect(await send('GET', '/api/databases', undefined, { ...admin, authorization })).toMatchObject({
        status: 401,
        json: { code: 'admin_token_invalid' },
      });
    }
    expect(await send('GET', '/api/databases', undefined, { host: admin.host })).toMatchObject({ status: 401 });
    expect(await send('POST', '/api/databases', { name: 'x' }, { host: admin.host })).toMatchObject({ status: 401 });
    expect(control.listDatabases()).toEqual([]);
  });

  it.each([
    ['127.0.0.1:4400', undefined, 200],
    ['localhost:4400', 'http://localhost:4400', 200],
    ['LOCALHOST:4400', undefined, 200],
    ['[::1]:4400', 'http://[::1]:4400', 200],
    ['db.example.com', 'https://db.example.com', 200],
    ['127.0.0.1:4400', 'https://db.example.com', 200],
    ['evil.example', undefined, 403],
    ['127.0.0.1', undefined, 403],
    ['127.0.0.1:4401', undefined, 403],
    ['127.0.0.1:4400', 'http://evil.example', 403],
    ['127.0.0.1:4400', 'http://127.0.0.1:4401', 403],
    ['127.0.0.1:4400', 'null', 403],
    ['127.0.0.1:4400', 'http://db.example.com', 403],
  ])('a request with the Host %s and the Origin %s is answered with %s', async (host, origin, status) => {
    openApi('https://db.example.com');
    const headers = { ...admin, host, ...(origin === undefined ? {} : { origin }) };
    expect((await send('GET', '/api/databases', undefined, headers)).status).toBe(status);
  });

  it('the admin token opens a session for the dashboard, and a page of another site cannot use that session', async () => {
    const browser = { host: 'localhost:4400', origin: 'http://localhost:4400' };
    expect(await send('POST', '/api/session', { token: 'wrong' }, browser)).toMatchObject({ status: 401 });
    const opened = await send('POST', '/api/session', { token: secrets.adminToken }, browser);
    expect(opened.status).toBe(204);
    const setCookie = opened.reply.headers['set-cookie'] ?? '';
    expect(setCookie).toMatch(/^dormouse_[0-9a-f]{8}=[\w.-]+; Path=\/api; Max-Age=\d+; HttpOnly; SameSite=Strict$/);
    expect(setCookie).not.toContain(secrets.adminToken);
    const cookie = `other=1; ${setCookie.split(';')[0]}`;
    expect((await send('GET', '/api/session', undefined, { ...browser, cookie })).json).toEqual({ ok: true });
    expect((await send('POST', '/api/databases', { name: 'main' }, { ...browser, cookie })).status).toBe(201);
    expect(
      (await send('POST', '/api/databases', { name: 'two' }, { ...browser, origin: 'http://evil.example', cookie }))
        .status,
    ).toBe(403);
    expect(await send('POST', '/api/databases', { name: 'two' }, { host: browser.host, cookie })).toMatchObject({
      status: 403,
      json: { code: 'origin_refused' },
    });
    expect((await send('GET', '/api/databases', undefined, { host: browser.host, cookie })).status).toBe(200);
    expect(
      (
        await send('GET', '/api/session', undefined, {
          ...browser,
          cookie: cookie.replace(/.$/, (last) => (last === 'A' ? 'B' : 'A')),
        })
      ).status,
    ).toBe(401);
    clock.advance(8 * 86_400_000);
    expect((await send('GET', '/api/session', undefined, { ...browser, cookie })).status).toBe(401);
    expect((await send('DELETE', '/api/session', undefined, browser)).reply.headers['set-cookie']).toContain(
      'Max-Age=0',
    );
    openApi('https://db.example.com');
    expect(
      (await send('POST', '/api/session', { token: secrets.adminToken }, browser)).reply.headers['set-cookie'],
    ).toContain('; Secure');
  });
});
