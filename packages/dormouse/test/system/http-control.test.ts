import { readdirSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Loose } from '../support/clients.ts';
import { type Platform, startPlatform } from '../support/platform.ts';
import { until } from '../support/until.ts';

let platform: Platform;
beforeAll(async () => {
  platform = await startPlatform();
});
afterAll(() => platform?.stop());

interface Answer {
  readonly status: number;
  readonly json: Loose;
}

async function api(method: string, path: string, body?: unknown): Promise<Answer> {
  const reply = await fetch(`${platform.http}/api${path}`, {
    method,
    headers: { authorization: `Bearer ${platform.adminToken}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { status: reply.status, json: await reply.json() };
}

/**
 * Sends a request with a given Host header, which `fetch` would set itself. A page that rebinds its name to this
 * address sends its own name there.
 */
function withHost(host: string): Promise<number> {
  const { port } = new URL(platform.http);
  return new Promise((resolve, reject) => {
    const headers = { host, authorization: `Bearer ${platform.adminToken}` };
    request({ port, path: '/api/databases', headers }, (reply) => {
      reply.resume();
      resolve(reply.statusCode ?? 0);
    })
      .on('error', reject)
      .end();
  });
}

const names = async (): Promise<string[]> =>
  (await api('GET', '/databases')).json.databases.map(({ name }: { name: string }) => name);

describe('the management API of a running platform', () => {
  it('the management API creates, suspends, stops, wakes and deletes databases', async () => {
    const made = await api('POST', '/databases', { name: 'shop' });
    expect(made).toMatchObject({ status: 201, json: { name: 'shop', keys: 1 } });
    for (const [verb, state] of [
      ['wake', 'running'],
      ['suspend', 'suspended'],
      ['wake', 'running'],
      ['stop', 'stopped'],
    ] as const) {
      expect((await api('POST', `/databases/shop/${verb}`)).json.state).toBe(state);
    }
    expect((await api('POST', '/databases', { name: 'shop' })).json.code).toBe('name_taken');
    const key = made.json.apiKey;
    expect((await api('DELETE', '/databases/shop')).json).toEqual({ id: made.json.id, name: 'shop' });
    const refused = await fetch(`${platform.http}/connection-info`, { headers: { authorization: `Bearer ${key}` } });
    expect([refused.status, ((await refused.json()) as Loose).code]).toEqual([401, 'P6002']);
    expect(readdirSync(join(platform.data, 'databases'))).not.toContain(made.json.id);
  });

  it('the management API refuses host names that are not its own', async () => {
    const { host } = new URL(platform.http);
    expect(await withHost(host)).toBe(200);
    expect(await withHost('evil.example')).toBe(403);
    expect((await fetch(`${platform.http}/api/databases`)).status).toBe(401);
  });

  it('a platform that starts after a kill -9 deletes a half-made database and keeps the others', async () => {
    const before = await api('GET', '/databases/main');
    for (let round = 0; round < 3; round++) {
      const creating = api('POST', '/databases', { name: 'half' }).catch(() => undefined);
      await until(async () => (await names()).includes('half'), { what: 'the creation to begin' });
      await platform.kill9();
      await creating;
      await platform.start();
      const left = await names();
      // If the kill came after the last step, the database is complete.
      if (left.includes('half')) {
        expect((await api('POST', '/databases/half/wake')).json.state).toBe('running');
        expect((await api('DELETE', '/databases/half')).status).toBe(200);
      }
      expect(await names()).toEqual(['main']);
      expect(readdirSync(join(platform.data, 'databases'))).toEqual([before.json.id]);
    }
    expect((await api('POST', '/databases', { name: 'half' })).status).toBe(201);
    const after = await api('GET', '/databases/main');
    expect(after.json.apiKey).toBe(before.json.apiKey);
    expect(after.json.prismaUrl).toBe(before.json.prismaUrl);
  });

  it('a platform that starts after a kill -9 finishes an interrupted deletion', async () => {
    const { json } = await api('POST', '/databases', { name: 'doomed' });
    await api('POST', '/databases/doomed/wake');
    const deleting = api('DELETE', '/databases/doomed').catch(() => undefined);
    await until(
      async () => {
        const found = (await api('GET', '/databases')).json.databases.find(
          ({ name }: { name: string }) => name === 'doomed',
        );
        return found === undefined || found.state === 'deleting';
      },
      { what: 'the deletion to begin' },
    );
    await platform.kill9();
    await deleting;
    await platform.start();
    expect(await names()).not.toContain('doomed');
    expect(readdirSync(join(platform.data, 'databases'))).not.toContain(json.id);
  });
});
