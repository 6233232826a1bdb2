import { describe, expect, it } from 'vitest';
import { Exited, recordedContext } from '../../../test/support/recorded-context.ts';
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
  const context = recordedContext();
  const code = run(['start', ...words], [startCommand(platform.start)], context);
  return { platform, context, code };
}

/** Lets every promise that can move, move. */
const settle = () => new Promise((resolve) => setImmediate(resolve));

describe('dormouse start', () => {
  it('with --json exactly one object goes to stdout, and all other text goes to stderr', async () => {
    const { platform, context, code } = launch(['--json']);
    platform.gates.start.resolve();
    platform.gates.close.resolve();
    await platform.up;
    await settle();
    expect(context.out()).toBe(
      `${JSON.stringify({
        http: started.http,
        postgres: started.postgres,
        dashboard: started.dashboard,
        adminToken: 't',
        databases: started.databases.map(({ extra: _, ...rest }) => rest),
      })}\n`,
    );
    expect(context.err()).toContain('Preparing Postgres.');
    context.press('SIGTERM');
    expect(await code).toBe(0);
    expect(context.out().split('\n')).toHaveLength(2);
    expect(platform.log).toEqual(['started', 'closing', 'closed']);
  });

  it('the text at the start shows the addresses and the next steps', async () => {
    const { platform, context, code } = launch([]);
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
      expect(context.out()).toContain(text);
    }
    expect(context.err()).toBe('');
    expect(context.out()).not.toContain('\u001b');
    context.press('SIGINT');
    expect(await code).toBe(0);
  });

  it('the platform is started with the values of the flags and an absolute data directory', async () => {
    const { platform, context, code } = launch(['--data', 'here', '--stop-after', 'never', '--body-max', '1MiB']);
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
    context.press('SIGTERM');
    platform.gates.start.resolve();
    platform.gates.close.resolve();
    expect(await code).toBe(0);
  });

  it('a stop signal during the start ends the platform cleanly, and no addresses are printed', async () => {
    const { platform, context, code } = launch(['--json']);
    context.press('SIGTERM');
    platform.gates.start.resolve();
    platform.gates.close.resolve();
    expect(await code).toBe(0);
    expect(context.out()).toBe('');
    expect(platform.log).toEqual(['started', 'closing', 'closed']);
  });

  it('a second Ctrl-C ends the process at once, and a second SIGTERM does not', async () => {
    const { platform, context, code } = launch([]);
    platform.gates.start.resolve();
    await platform.up;
    context.press('SIGINT');
    // npm sends the same Ctrl-C a second time.
    context.pass(20);
    context.press('SIGINT');
    await settle();
    context.pass(2000);
    context.press('SIGTERM');
    expect(() => context.press('SIGINT')).toThrow(new Exited(3));
    platform.gates.close.resolve();
    expect(await code).toBe(0);
  });

  it('a failed start is explained, and the exit code is 2', async () => {
    const context = recordedContext();
    const failing: StartPlatform = async () => {
      throw new DormouseError('port_in_use', { message: 'Port 4400 is in use.' });
    };
    expect(await run(['start'], [startCommand(failing)], context)).toBe(2);
    expect(context.err()).toBe('dormouse: Port 4400 is in use. [port_in_use]\n');
    expect(context.press('SIGINT')).toBe(false);
  });

  it('the error of a full disk names the data directory', async () => {
    const context = recordedContext();
    const full = async (): Promise<never> => {
      throw new DormouseError('disk_full');
    };
    expect(await run(['start', '--data', '/srv/dormouse'], [startCommand(full)], context)).toBe(2);
    expect(context.err()).toMatch(/The disk that holds \/srv\/dormouse is full\..*--data.*\[disk_full\]/);
  });
});
