import type { AddressInfo, Server } from 'node:net';
import type { Logger } from '../../base/index.ts';
import { listenFailure } from './listen-failure.ts';

export interface Listening {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  /** The flag of `dormouse start` that sets the port; error messages name the flag. */
  readonly portFlag: '--port' | '--pg-port';
  /** Gets the errors that the server reports after it has begun to listen. */
  readonly log: Logger;
}

/**
 * Makes a server listen and gives the address that it listens on. Fails with `port_in_use` when another process has the
 * port, `usage_invalid` when this process may not open the port or the host is no address of this machine, and
 * `internal` otherwise.
 */
export function listenOn(server: Server, { host, port, portFlag, log }: Listening): Promise<AddressInfo> {
  return new Promise((resolve, reject) => {
    const onError = (error: NodeJS.ErrnoException): void => reject(listenFailure(error, host, port, portFlag));
    server.once('error', onError);
    server.listen(port, host, () => {
      server.off('error', onError);
      server.on('error', (cause) => log.log('error', 'a listening server reported an error', { portFlag, cause }));
      resolve(server.address() as AddressInfo);
    });
  });
}
