import { fileURLToPath } from 'node:url';
import type { Clock, DatabaseId, Logger, Origin, RandomBytes } from '../base/index.ts';
import { Admission, type Control, createApi, createApiEvents, type Secrets } from '../control/index.ts';
import { createEdge, DEFAULT_EDGE_LIMITS } from '../edge/index.ts';
import type { Events } from '../events/index.ts';
import { createHttpDoor, DEFAULT_HTTP_LIMITS, nodeHash, redirect, staticFiles } from '../front/http/index.ts';
import { createPostgresDoor } from '../front/postgres/index.ts';
import type { PlatformStatus, Totals } from '../management-api/index.ts';
import type { Database } from './database.ts';
import type { PlatformOptions } from './platform-options.ts';
import type { Ports } from './ports.ts';

/** Time of a call beyond the wake and query timeouts, for the work between them. */
const CALL_MARGIN_MS = 5_000;

export interface DoorsOptions {
  readonly options: PlatformOptions;
  readonly ports: Ports;
  readonly control: Control;
  readonly secrets: Secrets;
  readonly events: Events;
  /** Takes queries after their key was checked. While the platform starts, a call waits. */
  readonly origin: Origin;
  readonly database: (id: DatabaseId) => Database | undefined;
  readonly memory: () => PlatformStatus['memory'];
  readonly oldest: () => PlatformStatus['oldest'] | undefined;
  readonly ready: () => boolean;
  readonly servers: () => PlatformStatus['servers'];
  readonly limits: () => PlatformStatus['limits'];
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
}

/** Both doors of this machine, and the edge behind the HTTP one. */
export interface Doors {
  /** Serves the connections of both ports, those that have waited there first. */
  listen(): Promise<void>;
  close(): Promise<void>;
}

/** Puts the doors together: HTTP with the edge, the management API, the dashboard and event streams; and TCP. */
export function createDoors(parts: DoorsOptions): Doors {
  const { options, ports, control, secrets, events, origin, database, ready, servers, clock, random, log } = parts;
  const { addresses } = ports;
  const { region, version } = options;
  const startedAtMs = clock.now();
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
  const status = (): Omit<PlatformStatus, keyof Totals> => ({
    version,
    publicUrl: addresses.publicUrl,
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
      // For a person who opens the address without a path.
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
    catalog: control.catalog,
    database,
    limits: { sessionsMax: options.tcpConnections, wakeMs: options.wakeTimeout },
    listenKeepsAwake: options.listenKeepsAwake,
    clock,
    random,
    log,
  });
  control.onRevoked((keyId) => postgres.endSessions(keyId));
  return {
    async listen() {
      await Promise.all([http.listen(ports.http), postgres.listen(ports.postgres)]);
    },
    async close() {
      await Promise.all([http.close(), postgres.close()]);
    },
  };
}
