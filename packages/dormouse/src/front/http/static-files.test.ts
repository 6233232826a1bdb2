import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cancellation, type MinimalReply } from '../../base/index.ts';
import { redirect, staticFiles } from './static-files.ts';

describe('staticFiles', () => {
  let directory: string;
  const get = async (path: string, method = 'GET'): Promise<MinimalReply> =>
    staticFiles('/dashboard', join(directory, 'site'))(
      { method, path, search: '', header: () => undefined, body: new Uint8Array(0) },
      new Cancellation(),
    );

  beforeAll(() => {
    directory = mkdtempSync(join(tmpdir(), 'dormouse-static-'));
    mkdirSync(join(directory, 'site', 'assets'), { recursive: true });
    writeFileSync(join(directory, 'secret.json'), '{}');
    writeFileSync(join(directory, 'site', '.hidden.json'), '{}');
    writeFileSync(join(directory, 'site', 'index.html'), '<html>');
    writeFileSync(join(directory, 'site', 'assets', 'app-abcd1234.js'), '1');
  });
  afterAll(() => rmSync(directory, { recursive: true, force: true }));

  it('the page is served at its path and at the path of each of its views', async () => {
    expect(await get('/dashboard')).toMatchObject({ status: 308, headers: { location: '/dashboard/' } });
    for (const path of ['/dashboard/', '/dashboard/databases', '/dashboard/index.html']) {
      const reply = await get(path);
      expect(String(Buffer.from(reply.body as Uint8Array))).toBe('<html>');
      expect(reply.headers['content-type']).toContain('text/html');
      expect(reply.headers['cache-control']).toBe('no-cache');
      expect(reply.headers['content-security-policy']).toContain("frame-ancestors 'none'");
    }
  });

  it('a file with a hash in its name may be cached forever', async () => {
    const reply = await get('/dashboard/assets/app-abcd1234.js');
    expect(reply.headers['content-type']).toContain('javascript');
    expect(reply.headers['cache-control']).toContain('immutable');
  });

  it.each([
    '/dashboard/../secret.json',
    '/dashboard/%2e%2e/secret.json',
    '/dashboard/.hidden.json',
    '/dashboard//etc/passwd.x',
    '/dashboard/assets/../../secret.json',
    '/dashboard/no.js',
    '/dashboard/a\\..\\secret.json',
  ])('no file is served at %s', async (path) => {
    await expect(get(path)).rejects.toMatchObject({ code: 'route_unknown' });
  });

  it('static files are served by GET and HEAD only', async () => {
    await expect(get('/dashboard/', 'POST')).rejects.toMatchObject({ code: 'method_not_allowed' });
    expect((await get('/dashboard/', 'HEAD')).status).toBe(200);
  });
});

describe('redirect', () => {
  it('a redirect answers GET with the new location and refuses other methods', () => {
    const send = (method: string): unknown =>
      redirect('/dashboard/')(
        { method, path: '/', search: '', header: () => undefined, body: new Uint8Array(0) },
        new Cancellation(),
      );
    expect(send('GET')).toMatchObject({ status: 302, headers: { location: '/dashboard/' } });
    expect(() => send('POST')).toThrow(expect.objectContaining({ code: 'method_not_allowed' }));
  });
});
