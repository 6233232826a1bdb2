import { fileURLToPath } from 'node:url';
import { cryptoRandom, DormouseError, type Logger, type MinimalReply, systemClock } from './base/index.ts';
import { ClosingStack } from './closing-stack.ts';
import {
  type Addresses,
  Admission,
  Control,
  createApi,
  createApiEvents,
  openDataDirectory,
  parsePublicUrl,
  Registry,
  Secrets,
} from './control/index.ts';
import { createEdge, DEFAULT_EDGE_LIMITS } from './edge/index.ts';
import { createEngine } from './engine/index.ts';
import { createEvents } from './events/index.ts';
import { MachineFleet } from './fleet.ts';
import { createHttpDoor, DEFAULT_HTTP_LIMITS, nodeHash, redirect, staticFiles } from './front/http/index.ts';
import { createPostgresDoor } from './front/postgres/index.ts';
import { openInstances } from './instance/index.ts';
import type { Platform, PlatformOptions } from './platform-options.ts';

export type { Platform, PlatformDatabase, PlatformOptions } from './platform-options.ts';

/** Databases of a platform that has none get this one, so that a newcomer has something to connect to. */
const FIRST_DATABASE = 'main';
/** A call may wait for its database as long as it may run, and a little for what lies between. */
const CALL_MARGIN_MS = 5_000;

/**
 * Puts one machine together, in the order of the life of a query, and starts it. What was opened is closed again when a step fails.
 * Fails with `data_*`, `port_in_use`, `binaries_missing`, `account_unusable`, `start_failed`, `disk_full`, `usage_invalid`.
 */
export async function startPlatform(
  options: PlatformOptions,
  log: Logger,
  progress: (line: string) => void,
): Promise<Platform> {
  const opened = new ClosingStack();
  try {
    return await open(options, log, progress, opened);
  } catch (error) {
    await opened.close().catch((cause: unknown) => log.log('error', 'cleaning up after a failed start', { cause }));
    throw error;
  }
}

async function open(
  options: PlatformOptions,
  log: Logger,
  progress: (line: string) => void,
  opened: ClosingStack,
): Promise<Platform> {
  const clock = systemClock;
  const random = cryptoRandom;
  const { host, region } = options;
  const startedAtMs = clock.now();
  const givenUrl = options.publicUrl === undefined ? undefined : parsePublicUrl(options.publicUrl);

  // control/: who may use what. The lock comes first: nothing is touched that another platform uses.
  const data = openDataDirectory(options.data, { userId: process.getuid?.() });
  opened.push(() => data.close());
  const secrets = new Secrets(data.masterKey);
  let addresses: Addresses = { publicUrl: givenUrl ?? '', httpPort: 0, postgresPort: 0 };
  const control = new Control({
    registry: new Registry(data.registryFile),
    secrets,
    clock,
    random,
    log,
    pgMajor: 18,
    addresses: () => addresses,
  });
  opened.push(() => control.close());

  // The doors open before the databases: a port in use is said before anything is started. Until then they say that it starts.
  let fleet: MachineFleet | undefined;
  const ready = (): MachineFleet => {
    if (fleet !== undefined) return fleet;
    throw new DormouseError('shutting_down', { message: 'Dormouse is starting. Try again in a moment.' });
  };
  const events = createEvents({ clock, random, logger: log, region });
  opened.push(() => events.close());
  opened.push(async () => {
    await fleet?.closeEvents();
  });
  const instances = await openInstances({
    dataDirectory: data.path,
    rest: { suspendAfterMs: options.suspendAfter, stopAfterMs: options.stopAfter },
    clock,
    logger: log,
    ...(options.pgUser === undefined ? {} : { pgUser: options.pgUser }),
    ...(options.pgBin === undefined ? {} : { pgBin: options.pgBin }),
  });
  opened.push(() => instances.close());
  const engine = createEngine({
    clock,
    random,
    log,
    limits: {
      replyBytesMax: options.replyMax,
      queryMs: options.queryTimeout,
      transactionMs: options.transactionTimeout,
      transactionsMax: options.transactionsMax,
      schemasMax: options.schemasMax,
      schemaBytesMax: options.schemaMax,
    },
  });
  const edge = createEdge({
    catalog: control.catalog,
    origin: { handle: (request, call) => ready().handle(request, call) },
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
  const admission = new Admission({ secrets, addresses: () => addresses, clock });
  const status = (): Readonly<Record<string, unknown>> => ({
    version: options.version,
    publicUrl: addresses.publicUrl,
    region,
    startedAtMs,
    nowMs: clock.now(),
    health: { ready: fleet !== undefined, cache: edge.stats, residentBytes: process.memoryUsage.rss() },
  });
  const delivery = events.deliver({
    authenticate: (authorization) => edge.authenticate(authorization),
    database: (id) => ready().get(id)?.events,
  });
  const http = createHttpDoor({
    handle: (request, cancellation): Promise<MinimalReply> => edge.handle(request, cancellation),
    mounts: [
      // For a person who opens the bare address.
      { path: '/', reply: redirect('/dashboard/') },
      { path: '/api', reply: createApi({ control, admission, log, status }) },
      { path: '/api/events', stream: createApiEvents({ control, admission, clock }) },
      { path: '/dashboard', reply: staticFiles('/dashboard', fileURLToPath(new URL('./dashboard/', import.meta.url))) },
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
    database: (id) => ready().get(id),
    limits: { sessionsMax: options.tcpConnections, wakeMs: options.wakeTimeout },
    clock,
    random,
    log,
  });
  opened.push(() => engine.close());
  opened.push(() => fleet?.closeClients());
  opened.push(async () => {
    await Promise.all([http.close(), postgres.close()]);
  });
  const httpAt = await http.listen(host, options.port);
  const postgresAt = await postgres.listen();
  const named = host.includes(':') ? `[${host}]` : host;
  addresses = {
    publicUrl: givenUrl ?? `http://${named}:${httpAt.port}`,
    httpPort: httpAt.port,
    postgresPort: postgresAt.port,
  };

  // instance/: binaries, template, and what an earlier platform left.
  await instances.prepare(progress);
  const machine = new MachineFleet(instances, {
    engine,
    events,
    publicUrl: addresses.publicUrl,
    onOperation: ({ principal }, operations) =>
      control.catalog.count(principal.keyId, principal.databaseId, operations),
    connectionsMax: options.poolConnections,
    waitersMax: options.poolWaiters,
    clock,
    random,
    log,
  });
  const records = control.databases();
  for (const record of records) machine.open(record);
  const { adopted } = await instances.recover(records);
  if (adopted.length > 0) progress(`Found ${adopted.length} running from before; they go on.`);
  await control.start(machine);
  fleet = machine;
  if (control.listDatabases().length === 0) {
    progress(`Creating the first database, ${FIRST_DATABASE}`);
    await control.createDatabase(FIRST_DATABASE);
  }

  data.writeAdminFile({
    url: `http://${named === '0.0.0.0' ? '127.0.0.1' : named}:${httpAt.port}`,
    adminToken: secrets.adminToken,
  });
  return {
    http: addresses.publicUrl,
    postgres: `postgres://${new URL(addresses.publicUrl).hostname}:${postgresAt.port}`,
    dashboard: `${addresses.publicUrl}/dashboard/#token=${secrets.adminToken}`,
    adminToken: secrets.adminToken,
    databases: await Promise.all(
      control.listDatabases().map(async ({ id }) => {
        const { name, prismaUrl, postgresUrl, pulseUrl } = await control.showDatabase(id);
        return { id, name, prismaUrl, postgresUrl, pulseUrl };
      }),
    ),
    close: () => opened.close(),
  };
}
