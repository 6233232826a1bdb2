import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cryptoRandom, type DatabaseId, NO_LIMITS, silentLogger, systemClock } from '../../base/index.ts';
import { createHttpDoor, DEFAULT_HTTP_LIMITS, type HttpDoor } from '../../front/http/index.ts';
import { openPort } from '../../front/listen/index.ts';
import type { InstanceState } from '../../instance/index.ts';
import { Admission, Control, createApiEvents, Registry, Secrets } from '../index.ts';

const secrets = new Secrets(new Uint8Array(32).fill(4));

describe('createApiEvents', () => {
  let directory: string;
  let control: Control;
  let door: HttpDoor;
  let port: number;
  let change: (id: DatabaseId, state: InstanceState) => void;
  const reading = new AbortController();

  beforeEach(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'dormouse-api-events-'));
    const open = await openPort({ host: '127.0.0.1', port: 0, portFlag: '--port', log: silentLogger });
    ({ port } = open);
    const addresses = { publicUrl: `http://127.0.0.1:${port}`, httpPort: port, postgresPort: 1 };
    const registry = new Registry(path.join(directory, 'registry.db'));
    control = new Control({
      registry,
      secrets,
      clock: systemClock,
      random: cryptoRandom,
      log: silentLogger,
      bootId: 'boot-1',
      rest: { suspendAfterMs: 5000, stopAfterMs: 300_000, alwaysOn: false, listenKeepsAwake: false },
      limits: NO_LIMITS,
      addresses,
    });
    await control.start(
      {
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
        onState: (listener) => {
          change = listener;
          return () => {};
        },
      },
      18,
    );
    const admission = new Admission({ secrets, addresses, clock: systemClock });
    door = createHttpDoor({
      handle: () => ({ status: 404, headers: {}, body: '' }),
      mounts: [{ path: '/api/events', stream: createApiEvents({ control, admission, clock: systemClock }) }],
      upgrades: {},
      limits: DEFAULT_HTTP_LIMITS,
      clock: systemClock,
      random: cryptoRandom,
      region: 'local',
      log: silentLogger,
    });
    await door.listen(open);
  });
  afterEach(async () => {
    control.close();
    await door.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const open = (
    headers: Record<string, string> = { authorization: `Bearer ${secrets.adminToken}` },
  ): Promise<Response> => fetch(`http://127.0.0.1:${port}/api/events`, { headers, signal: reading.signal });

  it('the event stream holds all databases first, then every change, and ends when the platform stops', async () => {
    const made = await control.createDatabase('main');
    const reply = await open();
    expect(reply.headers.get('content-type')).toBe('text/event-stream');
    let text = '';
    const ended = (async () => {
      for await (const chunk of reply.body ?? []) text += new TextDecoder().decode(chunk as Uint8Array);
    })();
    await expect.poll(() => text).toContain('event: databases');
    expect(JSON.parse(/data: (.*)/.exec(text)?.[1] ?? '')).toEqual({ databases: control.listDatabases() });
    change(made.id, 'running');
    await control.createDatabase('two');
    await control.deleteDatabase('two');
    await expect.poll(() => text).toContain('event: deleted');
    const events = [...text.matchAll(/event: (\w+)/g)].map(([, name]) => name);
    expect(events).toEqual(['databases', 'state', 'created', 'deleted']);
    expect(text).toContain(`data: {"id":"${made.id}","name":"main","state":"running"}`);
    control.watchers.close();
    await ended;
  });

  it('a watcher that hangs up is forgotten', async () => {
    const reply = await open();
    await expect.poll(() => control.watchers.size).toBe(1);
    await reply.body?.cancel();
    await expect.poll(() => control.watchers.size).toBe(0);
  });

  it('a request without the token and a page of another site are refused', async () => {
    expect((await open({})).status).toBe(401);
    expect((await open({ authorization: `Bearer ${secrets.adminToken}`, origin: 'http://evil.example' })).status).toBe(
      403,
    );
    expect(control.watchers.size).toBe(0);
  });
});
