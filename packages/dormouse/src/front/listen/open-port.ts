import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import type { Logger } from '../../base/index.ts';
import { listenFailure } from './listen-failure.ts';

/** Connections that may wait for a door. More than that are cut. */
const WAITING_MAX = 1_000;

export interface PortOptions {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** The flag of `dormouse start` that sets the port; error messages name the flag. */
  readonly portFlag: '--port' | '--pg-port';
  /** Gets the errors that the server reports after it has begun to listen. */
  readonly log: Logger;
}

/**
 * A port that is open before the door that serves it is built. Connections wait, with nothing read from them, until the
 * port is handed to a server.
 */
export interface OpenPort {
  readonly host: string;
  readonly port: number;
  /** Makes `server` listen on the port and gives it the connections that wait. Once. */
  handTo(server: Server): Promise<void>;
  /** Closes the port and cuts the connections that wait. Does nothing after `handTo`: the server owns the port then. */
  close(): Promise<void>;
}

/**
 * Opens a port. Fails with `port_in_use` when another process has the port, `usage_invalid` when this process may not
 * open the port or the host is no address of this machine, and `internal` otherwise.
 */
export async function openPort({ host, port, portFlag, log }: PortOptions): Promise<OpenPort> {
  const holder = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true, keepAlive: true });
  const waiting = new Set<Socket>();
  let handed = false;
  holder.maxConnections = WAITING_MAX;
  holder.on('connection', (socket) => waiting.add(socket));
  await new Promise<void>((resolve, reject) => {
    holder.once('error', (error: NodeJS.ErrnoException) => reject(listenFailure(error, host, port, portFlag)));
    holder.listen(port, host, resolve);
  });
  holder.on('error', (cause) => log.log('error', 'an open port reported an error', { portFlag, cause }));
  return {
    host,
    port: (holder.address() as AddressInfo).port,
    async handTo(server) {
      server.on('error', (cause) => log.log('error', 'a listening server reported an error', { portFlag, cause }));
      handed = true;
      // The server takes over the listening socket itself, so no client is refused in between.
      await new Promise<void>((resolve) => server.listen(holder, resolve));
      for (const socket of waiting) {
        server.emit('connection', socket);
        socket.resume();
      }
      waiting.clear();
    },
    async close() {
      if (handed) return;
      handed = true;
      const closed = new Promise<void>((resolve) => holder.close(() => resolve()));
      for (const socket of waiting) socket.destroy();
      await closed;
    },
  };
}
