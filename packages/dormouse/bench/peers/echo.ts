import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { serveOrders } from '../peer-process.ts';

/** The floor of HTTP: reads the body and answers with the bytes it was given by `--reply`, nothing else. */
const reply = Buffer.from(process.argv[2] ?? '', 'base64');
const server = createServer((incoming, outgoing) => {
  incoming.resume();
  incoming.on('end', () => {
    outgoing.writeHead(200, { 'content-type': 'application/json', 'content-length': reply.length });
    outgoing.end(reply);
  });
});
server.listen(0, '127.0.0.1', () => serveOrders({ port: (server.address() as AddressInfo).port }, async () => ({})));
