import { DormouseStreamError } from './errors.ts';

/** The platform's address and the API key. */
export interface Connection {
  /** The origin of the platform's HTTP door, without a slash at the end. */
  readonly origin: string;
  readonly apiKey: string;
}

export interface ConnectionOptions {
  /**
   * The database's URL as `dormouse db show` prints it (`prisma+postgres://HOST/?api_key=KEY`), or the platform's
   * http(s) URL together with `apiKey`. By default the URL that the Prisma Client itself uses, else the environment
   * variable DATABASE_URL.
   */
  readonly url?: string | URL;
  readonly apiKey?: string;
}

/** Prisma's rule: plain HTTP is used for this machine only. */
function isLocal(hostname: string): boolean {
  return hostname.includes('localhost') || hostname === '127.0.0.1' || hostname === '[::1]';
}

const PROTOCOLS: Readonly<Record<string, string>> = {
  'http:': 'http',
  'https:': 'https',
  'ws:': 'http',
  'wss:': 'https',
};

/** Parses a URL of any of these forms; undefined for any other text (a direct Postgres URL, for instance). */
export function parseConnection(url: string | URL, apiKey?: string): Connection | undefined {
  let parsed: URL;
  try {
    parsed = new URL(url);
  } catch {
    return undefined;
  }
  const prisma = parsed.protocol === 'prisma:' || parsed.protocol === 'prisma+postgres:';
  const protocol = prisma ? (isLocal(parsed.hostname) ? 'http' : 'https') : PROTOCOLS[parsed.protocol];
  const key = apiKey ?? parsed.searchParams.get('api_key') ?? undefined;
  if (protocol === undefined || key === undefined || parsed.host === '') return undefined;
  return { origin: `${protocol}://${parsed.host}`, apiKey: key };
}

/**
 * The URL that a Prisma Client was given: `accelerateUrl` of 7, the datasource of 6. It is read from the client's
 * internals, any of which may be missing.
 */
function clientUrl(client: unknown): string | undefined {
  try {
    const config = Reflect.get(client as object, '_accelerateEngineConfig');
    const url: unknown = config?.accelerateUrl ?? config?.accelerateUtils?.resolveDatasourceUrl?.(config);
    return typeof url === 'string' ? url : undefined;
  } catch {
    return undefined;
  }
}

function environmentUrl(): string | undefined {
  return typeof process === 'undefined' ? undefined : process.env.DATABASE_URL;
}

/**
 * Finds the platform by the options, else by the client, else by DATABASE_URL. Throws a `DormouseStreamError` whose
 * message says what to do.
 */
export function findConnection(options: ConnectionOptions, client?: unknown): Connection {
  const candidates = options.url === undefined ? [clientUrl(client), environmentUrl()] : [options.url];
  for (const url of candidates) {
    const connection = url === undefined ? undefined : parseConnection(url, options.apiKey);
    if (connection !== undefined) return connection;
  }
  throw new DormouseStreamError(
    'usage',
    'Dormouse is not found: give withDormouse({ url }) the prisma+postgres:// URL that `dormouse db show NAME` prints, or set DATABASE_URL to it.',
  );
}
