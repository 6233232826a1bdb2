import { connect, type NetConnectOpts, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';

/** Where a running server listens. Nothing above the runtime of an instance assumes a local socket. */
export type Endpoint =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number };

/** A stream to a server. Sockets have `ref` and `unref`; a stream without them never keeps the process alive. */
export type ServerSocket = Duplex & {
  ref?(): unknown;
  unref?(): unknown;
  /**
   * From this call on, the bytes that are read go to `take` instead of a 'data' event, except for bytes that the stream
   * holds already.
   */
  readTo?(take: (chunk: Buffer) => void): void;
};

/** Opens a stream to an endpoint; the stream may still be connecting when it is returned. */
export type Connect = (endpoint: Endpoint) => ServerSocket;

/** The number of bytes that Node reads at once. */
const READ_BYTES = 65_536;
/**
 * The buffer that all sockets of this thread read into, one after the other: the bytes are copied out before the read
 * returns. Without it, Node allocates 64 KiB for each read, gives back what the read did not need, and passes each
 * chunk through a stream, which costs 3 µs per reply.
 */
const READS = Buffer.allocUnsafeSlow(READ_BYTES);

/** Opens a socket of the operating system. */
export function connectSocket(endpoint: Endpoint): Socket & Pick<Required<ServerSocket>, 'readTo'> {
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
      : // Each message is written whole; a wait for more bytes to fill a TCP segment would only add delay.
        { host: endpoint.host, port: endpoint.port, noDelay: true, onread },
  );
  return Object.assign(socket, {
    readTo(to: (chunk: Buffer) => void): void {
      take = to;
    },
  });
}
