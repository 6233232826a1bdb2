import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { type Scratch, scratch } from '../../../test/support/scratch.ts';
import { SOCKET_PATH_BYTES_MAX, socketPaths } from './socket-path.ts';

let home: Scratch;
beforeEach(() => {
  home = scratch('sockets');
});
afterEach(() => home.remove());

it('a short socket path stays as it is', () => {
  const sockets = socketPaths(home.path);
  expect(sockets.path('db', 'run', 's')).toBe(join(home.path, 'db/run/s'));
  sockets.close();
});

it.runIf(process.platform === 'linux')(
  'a socket is reached at any depth by a path that is short enough in bytes',
  async () => {
    const deep = join(home.path, 'ä'.repeat(40), 'x'.repeat(200));
    mkdirSync(join(deep, 'run'), { recursive: true });
    const sockets = socketPaths(deep);
    const path = sockets.path('run', 's');
    expect(Buffer.byteLength(path)).toBeLessThanOrEqual(SOCKET_PATH_BYTES_MAX);
    const server = createServer((socket) => socket.end('reached'));
    server.listen(path);
    await once(server, 'listening');
    const client = connect(sockets.path('run', 's'));
    const [said] = (await once(client, 'data')) as [Buffer];
    expect(said.toString()).toBe('reached');
    client.destroy();
    server.close();
    await once(server, 'close');
    sockets.close();
  },
);
