import { createServer } from 'node:net';
import { expect, it } from 'vitest';
import { silentLogger } from '../../base/index.ts';
import { listenFailure } from './listen-failure.ts';
import { listenOn } from './listen-on.ts';

const at = (host: string, port: number): Parameters<typeof listenOn>[1] => ({
  host,
  port,
  portFlag: '--pg-port',
  log: silentLogger,
});

it('a server listens on a free port, and its address is given', async () => {
  const server = createServer();
  const { address, port } = await listenOn(server, at('127.0.0.1', 0));
  expect(address).toBe('127.0.0.1');
  await expect(listenOn(createServer(), at('127.0.0.1', port))).rejects.toMatchObject({
    code: 'port_in_use',
    message: expect.stringMatching(new RegExp(`${port} .*--pg-port`)),
  });
  await new Promise((resolve) => server.close(resolve));
});

it('an address that this machine does not have is a mistake in the use, whichever port is asked for', async () => {
  await expect(listenOn(createServer(), at('192.0.2.1', 0))).rejects.toMatchObject({ code: 'usage_invalid' });
});

it('a port that needs more rights is a mistake in the use, and the error names the flag of that port', () => {
  for (const flag of ['--port', '--pg-port'] as const) {
    const error = listenFailure(Object.assign(new Error('no'), { code: 'EACCES' }), '::1', 443, flag);
    expect(error.code).toBe('usage_invalid');
    expect(error.message).toBe(`This account may not open [::1]:443. Choose a port above 1023 with ${flag}.`);
  }
});
