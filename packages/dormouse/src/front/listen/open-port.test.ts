import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { silentLogger } from '../../base/index.ts';
import { listenFailure } from './listen-failure.ts';
import { openPort, type PortOptions } from './open-port.ts';

const at = (host: string, port: number): PortOptions => ({ host, port, portFlag: '--pg-port', log: silentLogger });

it('a free port is opened and its number is returned, and a port in use is refused with the flag to change', async () => {
  const { host, port, close } = await openPort(at('127.0.0.1', 0));
  expect([host, port]).toEqual(['127.0.0.1', expect.any(Number)]);
  await expect(openPort(at('127.0.0.1', port))).rejects.toMatchObject({
    code: 'port_in_use',
    message: expect.stringMatching(new RegExp(`${port} .*--pg-port`)),
  });
  await close();
});

it('an address that this machine does not have is refused with usage_invalid', async () => {
  await expect(openPort(at('192.0.2.1', 0))).rejects.toMatchObject({ code: 'usage_invalid' });
});

it('a port that needs more rights is refused with usage_invalid, and the error names the flag of that port', () => {
  for (const flag of ['--port', '--pg-port'] as const) {
    const error = listenFailure(Object.assign(new Error('no'), { code: 'EACCES' }), '::1', 443, flag);
    expect(error.code).toBe('usage_invalid');
    expect(error.message).toBe(`This account may not open [::1]:443. Choose a port above 1023 with ${flag}.`);
  }
});

it('a request that is sent before the port is handed to a server is answered by that server, as later requests are', async () => {
  const open = await openPort(at('127.0.0.1', 0));
  const socket = connect(open.port, '127.0.0.1');
  await once(socket, 'connect');
  let received = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    received += chunk;
  });
  socket.write('GET /early HTTP/1.1\r\nhost: x\r\n\r\n');
  await new Promise((resolve) => setImmediate(resolve));
  const server = createHttpServer((request, reply) => reply.end(`answer to ${request.url}`));
  await open.handTo(server);
  await expect.poll(() => received).toContain('answer to /early');
  const later = await fetch(`http://127.0.0.1:${open.port}/later`);
  expect(await later.text()).toBe('answer to /later');
  // The server owns the port now.
  await open.close();
  expect(server.listening).toBe(true);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

it('a port that is closed before a server has it cuts the connections that wait, and is free again', async () => {
  const open = await openPort(at('127.0.0.1', 0));
  const socket = connect(open.port, '127.0.0.1').on('error', () => {});
  await once(socket, 'connect');
  const cut = once(socket, 'close');
  await open.close();
  socket.resume();
  await cut;
  const other = createServer().listen(open.port, '127.0.0.1');
  await once(other, 'listening');
  expect(other.listening).toBe(true);
  await new Promise((resolve) => other.close(resolve));
});
