import { describe, expect, it } from 'vitest';
import { Exited, recordedWorld } from '../../../test/support/recorded-world.ts';
import { DormouseError } from '../../base/index.ts';
import { run } from '../command-line/run.ts';
import type { Platform, PlatformOptions, StartPlatform } from '../start-platform.ts';
import { startCommand } from './start.ts';

const started = {
  http: 'http://127.0.0.1:4400',
  postgres: 'postgres://127.0.0.1:5440',
  dashboard: 'http://127.0.0.1:4400/dashboard/#token=t',
  adminToken: 't',
  databases: [
    {
      id: 'db_1',
      name: 'main',
      prismaUrl: 'prisma+postgres://127.0.0.1:4400/?api_key=k',
      postgresUrl: 'postgres://key_1:s@127.0.0.1:5440/postgres',
      pulseUrl: 'ws://127.0.0.1:4400',
      extra: 'not for printing',
    },
  ],
};

/** A promise that the test resolves. */
function gate() {
  let resolve: () => void = () => {};
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}

/** A platform whose start and close the test ends by hand. */
function handmade() {
  const log: string[] = [];
  let options: PlatformOptions | undefined;
  const gates = { start: gate(), close: gate() };
  const up = gate();
  const start: StartPlatform = async (given, _logger, progress) => {
    options = given;
    progress('Preparing Postgres.');
    await gates.start.promise;
    log.push('started');
    const platform: Platform = {
      ...started,
      close: async () => {
        log.push('closing');
        await gates.close.promise;
        log.push('closed');
      },
    };
    queueMicrotask(up.resolve);
    return platform;
  };
  return { start, log, gates, up: up.promise, options: () => options };
}

function launch(words: readonly string[]) {
  const platform = handmade();
  const world = recordedWorld();
  const code = run(['start', ...words], [startCommand(platform.start)], world);
  return { platform, world, code };
}

/** Lets every promise that can move, move. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('dormouse start', () => {
  it('prints exactly one JSON object on stdout and talks on stderr', async () => {
    const { platform, world, code } = launch(['--json']);
    platform.gates.start.resolve();
    platform.gates.close.resolve();
    await platform.up;
    await settle();
    expect(world.out()).toBe(
      `${JSON.stringify({
        http: started.http,
        postgres: started.postgres,
        dashboard: started.dashboard,
        adminToken: 't',
        databases: started.databases.map(({ extra: _, ...rest }) => rest),
      })}\n`,
    );
    expect(world.err()).toContain('Preparing Postgres.');
    world.press('SIGTERM');
    expect(await code).toBe(0);
    expect(world.out().split('\n')).toHaveLength(2);
    expect(platform.log).toEqual(['started', 'closing', 'closed']);
  });

  it('tells a newcomer where everything is', async () => {
    const { platform, world, code } = launch([]);
    platform.gates.start.resolve();
    platform.gates.close.resolve();
    await platform.up;
    await settle();
    const [database] = started.databases;
    for (const text of [
      database?.prismaUrl,
      database?.postgresUrl,
      database?.pulseUrl,
      started.dashboard,
      'psql "',
      'accelerateUrl',
      'stream(',
      'npx dormouse db create NAME',
    ]) {
      expect(world.out()).toContain(text);
    }
    expect(world.err()).toBe('');
    expect(world.out()).not.toContain('\u001b');
    world.press('SIGINT');
    expect(await code).toBe(0);
  });

  it('hands on its flags, and the data directory as an absolute path', async () => {
    const { platform, world, code } = launch(['--data', 'here', '--stop-after', 'never', '--body-max', '1MiB']);
    expect(platform.options()).toMatchObject({
      data: '/home/ada/here',
      port: 4400,
      pgPort: 5440,
      host: '127.0.0.1',
      suspendAfter: 5000,
      stopAfter: Number.POSITIVE_INFINITY,
      bodyMax: 1_048_576,
      replyMax: 67_108_864,
      queryTimeout: 60_000,
      transactionTimeout: 90_000,
      poolConnections: 10,
      tcpConnections: 20,
      version: '9.9.9',
    });
    world.press('SIGTERM');
    platform.gates.start.resolve();
    platform.gates.close.resolve();
    expect(await code).toBe(0);
  });

  it('stops cleanly when told so while it starts, without printing what is already over', async () => {
    const { platform, world, code } = launch(['--json']);
    world.press('SIGTERM');
    platform.gates.start.resolve();
    platform.gates.close.resolve();
    expect(await code).toBe(0);
    expect(world.out()).toBe('');
    expect(platform.log).toEqual(['started', 'closing', 'closed']);
  });

  it('ends at once on a second Ctrl-C, but not on a second SIGTERM', async () => {
    const { platform, world, code } = launch([]);
    platform.gates.start.resolve();
    await platform.up;
    world.press('SIGINT');
    // npm sends the same Ctrl-C a second time.
    world.pass(20);
    world.press('SIGINT');
    await settle();
    world.pass(2000);
    world.press('SIGTERM');
    expect(() => world.press('SIGINT')).toThrow(new Exited(3));
    platform.gates.close.resolve();
    expect(await code).toBe(0);
  });

  it('says why it did not start, and exits with 2', async () => {
    const world = recordedWorld();
    const failing: StartPlatform = async () => {
      throw new DormouseError('port_in_use', { message: 'Port 4400 is in use.' });
    };
    expect(await run(['start'], [startCommand(failing)], world)).toBe(2);
    expect(world.err()).toBe('dormouse: Port 4400 is in use. [port_in_use]\n');
    expect(world.press('SIGINT')).toBe(false);
  });

  it('says which disk is full', async () => {
    const world = recordedWorld();
    const full = async (): Promise<never> => {
      throw new DormouseError('disk_full');
    };
    expect(await run(['start', '--data', '/srv/dormouse'], [startCommand(full)], world)).toBe(2);
    expect(world.err()).toMatch(/The disk that holds \/srv\/dormouse is full\..*--data.*\[disk_full\]/);
  });
});
