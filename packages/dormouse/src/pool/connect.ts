import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Endpoint } from '../instance/index.ts';

/** A stream to a server. Sockets have `ref` and `unref`; a stream without them never keeps the process alive. */
export type ServerSocket = Duplex & { ref?(): unknown; unref?(): unknown };

/** Opens a stream to an endpoint; it may still be connecting when returned. */
export type Connect = (endpoint: Endpoint) => ServerSocket;

/** The operating system's sockets. */
export const connectSocket: Connect = (endpoint) => {
  if (endpoint.kind === 'unix') return connect({ path: endpoint.path });
  // Requests are written whole; waiting to fill a segment only adds delay.
  return connect({ host: endpoint.host, port: endpoint.port, noDelay: true });
};
