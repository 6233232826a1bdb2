import { DormouseError } from '../../base/index.ts';
import type { DatabaseUrls } from '../../management-api/index.ts';

/** Where clients reach the platform. From flags and open ports, never from a request's Host header. */
export interface Addresses {
  /** Scheme, host and port, without a slash at the end: `http://127.0.0.1:4400`. */
  readonly publicUrl: string;
  /** The port that the HTTP door listens on here; differs from the public one behind a proxy. */
  readonly httpPort: number;
  readonly postgresPort: number;
}

/** Checks `--public-url`; gives it without a slash at the end. Clients append absolute paths, so it has none itself. */
export function parsePublicUrl(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const bare =
    url && (url.protocol === 'http:' || url.protocol === 'https:') && url.pathname === '/' && url.search === '';
  if (!url || !bare || url.hash !== '' || url.username !== '' || url.password !== '') {
    throw new DormouseError('usage_invalid', {
      message: `--public-url ${JSON.stringify(text.slice(0, 200))} is not http(s)://HOST[:PORT] without a path.`,
    });
  }
  return url.origin;
}

/** The three addresses of a database under one key. */
export function databaseUrls(addresses: Addresses, keyId: string, apiKey: string, tcpSecret: string): DatabaseUrls {
  const { protocol, host, hostname } = new URL(addresses.publicUrl);
  return {
    prismaUrl: `prisma+postgres://${host}/?api_key=${apiKey}`,
    postgresUrl: `postgres://${keyId}:${tcpSecret}@${hostname}:${addresses.postgresPort}/postgres`,
    pulseUrl: pulseUrl(protocol, host),
    apiKey,
  };
}

/** The events' address, the same for every database: the key says which. */
export function pulseUrlOf(addresses: Addresses): string {
  const { protocol, host } = new URL(addresses.publicUrl);
  return pulseUrl(protocol, host);
}

function pulseUrl(protocol: string, host: string): string {
  return `${protocol === 'https:' ? 'wss' : 'ws'}://${host}`;
}
