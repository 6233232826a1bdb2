import type { Logger } from '../base/index.ts';
import type { Addresses } from '../control/index.ts';
import { type OpenPort, openPort } from '../front/listen/index.ts';
import type { PlatformOptions } from './platform-options.ts';

/** Hosts that mean every interface of the machine: no client can connect to them by name. */
const ANY_ADDRESS = new Set(['0.0.0.0', '::', '[::]']);

/** The ports of both doors, open before the doors are built: what is given out as an address is known from then on. */
export interface Ports {
  readonly http: OpenPort;
  readonly postgres: OpenPort;
  readonly addresses: Addresses;
  /** Where a program on this machine reaches the HTTP door. */
  readonly localUrl: string;
  /** Closes the ports that no door listens on yet. */
  close(): Promise<void>;
}

/** Opens both ports or neither. Fails with `port_in_use`, `usage_invalid`. */
export async function openPorts(
  { host, port, pgPort }: Pick<PlatformOptions, 'host' | 'port' | 'pgPort'>,
  publicUrl: string | undefined,
  log: Logger,
): Promise<Ports> {
  const http = await openPort({ host, port, portFlag: '--port', log });
  const postgres = await openPort({ host, port: pgPort, portFlag: '--pg-port', log }).catch(async (error: unknown) => {
    await http.close();
    throw error;
  });
  const reachable = ANY_ADDRESS.has(host) ? '127.0.0.1' : host;
  const localUrl = `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${http.port}`;
  return {
    http,
    postgres,
    addresses: { publicUrl: publicUrl ?? localUrl, httpPort: http.port, postgresPort: postgres.port },
    localUrl,
    async close() {
      await Promise.all([http.close(), postgres.close()]);
    },
  };
}
