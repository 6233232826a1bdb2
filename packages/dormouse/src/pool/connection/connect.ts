import { connect, type NetConnectOpts, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Endpoint } from '../../instance/index.ts';

/** A stream to a server. Sockets have `ref` and `unref`; a stream without them never keeps the process alive. */
export type ServerSocket = Duplex & {
  ref?(): unknown;
  unref?(): unknown;
  /** From now on what is read goes to `take` instead of being a 'data' event, but for what the stream holds already. */
  readTo?(take: (chunk: Buffer) => void): void;
};

/** Opens a stream to an endpoint; it may still be connecting when returned. */
export type Connect = (endpoint: Endpoint) => ServerSocket;

/** What Node reads at once. */
const READ_BYTES = 65_536;
/**
 * Where all sockets of this thread read into, one at a time: what is in it is copied before the read has returned. Node
 * would take 64 KiB for each read and give back what it did not need, and pass each chunk through a stream: 3 µs a
 * reply.
 */
const READS = Buffer.allocUnsafeSlow(READ_BYTES);

/** The operating system's sockets. */
export const connectSocket: Connect = (endpoint) => {
  let take: ((chunk: Buffer) => void) | undefined;
  const onread: NetConnectOpts['onread'] = {
    buffer: READS,
    callback(bytes): boolean {
      const chunk = Buffer.allocUnsafe(bytes);
      READS.copy(chunk, 0, 0, bytes);
      if (take === undefined || socket.readableLength > 0) return socket.push(chunk);
      take(chunk);
      return true;
    },
  };
  const socket: Socket = connect(
    endpoint.kind === 'unix'
      ? { path: endpoint.path, onread }
      : // Requests are written whole; waiting to fill a segment only adds delay.
        { host: endpoint.host, port: endpoint.port, noDelay: true, onread },
  );
  return Object.assign(socket, {
    readTo(to: (chunk: Buffer) => void): void {
      take = to;
    },
  });
};
