import { fileURLToPath } from 'node:url';
import type { Clock, DatabaseId, Logger, Origin, RandomBytes } from '../base/index.ts';
import { type Addresses, Admission, type Control, createApi, createApiEvents, type Secrets } from '../control/index.ts';
import { createEdge, DEFAULT_EDGE_LIMITS } from '../edge/index.ts';
import type { Events } from '../events/index.ts';
import { createHttpDoor, DEFAULT_HTTP_LIMITS, nodeHash, redirect, staticFiles } from '../front/http/index.ts';
import { createPostgresDoor } from '../front/postgres/index.ts';
import type { Database } from './database.ts';
import type { PlatformOptions } from './platform-options.ts';

/** A call may wait for its database as long as it may run, and a little for what lies between. */
const CALL_MARGIN_MS = 5_000;
/** Addresses that mean every interface: nothing a client can connect to by name. */
const ANY_ADDRESS = new Set(['0.0.0.0', '::', '[::]']);

export interface DoorsOptions {
  readonly options: PlatformOptions;
  /** `--public-url`, checked. */
  readonly publicUrl: string | undefined;
  readonly control: Control;
  readonly secrets: Secrets;
  readonly events: Events;
  /** Where queries go once a key is proven. Throws while the platform starts. */
  readonly origin: Origin;
  readonly database: (id: DatabaseId) => Database | undefined;
  /** What the servers take. */
  readonly memory: () => object;
  /** The database nearest to running out of transaction ids. */
  readonly oldest: () => object | undefined;
  readonly ready: () => boolean;
  /** What servers run on and are kept apart by; undefined until that is known. */
  readonly servers: () => object | undefined;
  /** Whether the kernel holds servers to limits. */
  readonly limits: () => object;
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
}

/** Both doors of this machine, and the edge behind the HTTP one. */
export interface Doors {
  /** Opens both ports and says what they are. Fails with `port_in_use`, `usage_invalid`. */
  listen(): Promise<Addresses>;
  /** Where the doors are; the ports are 0 until they listen. */
  addresses(): Addresses;
  /** Where a program on this machine reaches the HTTP door. */
  localUrl(): string;
  /** Ends the sessions of a key that was revoked. */
  endSessions: ReturnType<typeof createPostgresDoor>['endSessions'];
  close(): Promise<void>;
}

/** Puts the doors together: HTTP with the edge, the management API, the dashboard and event streams; and TCP. */
export function createDoors(parts: DoorsOptions): Doors {
  const { options, publicUrl, control, secrets, events, origin, database, ready, servers, clock, random, log } = parts;
  const { host, region, version } = options;
  const startedAtMs = clock.now();
  let current: Addresses = { publicUrl: publicUrl ?? '', httpPort: 0, postgresPort: 0 };
  const addresses = (): Addresses => current;
  const edge = createEdge({
    catalog: control.catalog,
    origin,
    keys: [secrets.edgeKey],
    clock,
    random,
    hash: nodeHash,
    region,
    limits: {
      ...DEFAULT_EDGE_LIMITS,
      callMs: options.wakeTimeout + options.queryTimeout + CALL_MARGIN_MS,
      cacheBytesMax: options.cacheMax,
    },
    log,
    generationOf: (id) => String(control.catalog.database(id)?.createdAtMs),
  });
  const status = (): Readonly<Record<string, unknown>> => ({
    version,
    publicUrl: current.publicUrl,
    region,
    startedAtMs,
    nowMs: clock.now(),
    servers: servers(),
    limits: parts.limits(),
    memory: parts.memory(),
    oldest: parts.oldest() ?? null,
    health: { ready: ready(), cache: edge.stats, postgres: postgres.stats, residentBytes: process.memoryUsage.rss() },
  });
  const admission = new Admission({ secrets, addresses, clock });
  const delivery = events.deliver({
    authenticate: (authorization) => edge.authenticate(authorization),
    database: (id) => database(id)?.events,
  });
  const http = createHttpDoor({
    handle: (request, cancellation) => edge.handle(request, cancellation),
    mounts: [
      // For a person who opens the bare address.
      { path: '/', reply: redirect('/dashboard/') },
      { path: '/api', reply: createApi({ control, admission, log, status }) },
      { path: '/api/events', stream: createApiEvents({ control, admission, clock }) },
      {
        path: '/dashboard',
        reply: staticFiles('/dashboard', fileURLToPath(new URL('../dashboard/', import.meta.url))),
      },
      { path: '/streams', stream: delivery.stream },
    ],
    upgrades: { '/stream': delivery.upgrade, '/subscribe': delivery.upgrade },
    limits: { ...DEFAULT_HTTP_LIMITS, bodyBytesMax: options.bodyMax },
    clock,
    random,
    region,
    log,
  });
  const postgres = createPostgresDoor({
    host,
    port: options.pgPort,
    catalog: control.catalog,
    database,
    limits: { sessionsMax: options.tcpConnections, wakeMs: options.wakeTimeout },
    listenKeepsAwake: options.listenKeepsAwake,
    clock,
    random,
    log,
  });
  const reachable = ANY_ADDRESS.has(host) ? '127.0.0.1' : host;
  const localUrl = (): string => `http://${reachable.includes(':') ? `[${reachable}]` : reachable}:${current.httpPort}`;
  return {
    async listen() {
      const { port: httpPort } = await http.listen(host, options.port);
      const { port: postgresPort } = await postgres.listen();
      current = { publicUrl: '', httpPort, postgresPort };
      current = { ...current, publicUrl: publicUrl ?? localUrl() };
      return current;
    },
    addresses,
    localUrl,
    endSessions: (keyId) => postgres.endSessions(keyId),
    async close() {
      await Promise.all([http.close(), postgres.close()]);
    },
  };
}
