import { DormouseError } from '../../base/index.ts';
import type { DatabaseUrls } from '../../management-api/index.ts';

/** The addresses that clients reach the platform by. They come from flags and ports, never from a Host header. */
export interface Addresses {
  /** Scheme, host and port, without a slash at the end: `http://127.0.0.1:4400`. */
  readonly publicUrl: string;
  /** The port that the HTTP door listens on; behind a proxy it differs from the port of the public URL. */
  readonly httpPort: number;
  readonly postgresPort: number;
}

/**
 * Checks `--public-url` and gives it without a slash at the end. The URL must have no path, because clients append
 * absolute paths.
 */
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

/** The address of events. It is the same for every database, because the key identifies the database. */
export function pulseUrlOf(addresses: Addresses): string {
  const { protocol, host } = new URL(addresses.publicUrl);
  return pulseUrl(protocol, host);
}

function pulseUrl(protocol: string, host: string): string {
  return `${protocol === 'https:' ? 'wss' : 'ws'}://${host}`;
}
