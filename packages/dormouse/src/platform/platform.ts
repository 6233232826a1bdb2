import { cryptoRandom, type Logger, systemClock } from '../base/index.ts';
import { Control, openDataDirectory, parsePublicUrl, Registry, Secrets } from '../control/index.ts';
import { createEngine } from '../engine/index.ts';
import { createEvents } from '../events/index.ts';
import {
  checkBuilds,
  type Instances,
  MemoryKeeper,
  machineBootId,
  openInstances,
  type ServersDescription,
} from '../instance/index.ts';
import { ClosingStack } from './closing-stack.ts';
import { createDoors } from './doors.ts';
import { MachineFleet } from './fleet.ts';
import { describeIsolation, openMachine } from './machine.ts';
import type { Platform, PlatformOptions } from './platform-options.ts';
import { openPorts } from './ports.ts';
import { StartGate } from './start-gate.ts';

export type { Platform, PlatformDatabase, PlatformOptions } from './platform-options.ts';

/** A platform without databases creates this one, so that a new user has a database to connect to. */
const FIRST_DATABASE = 'main';

/** What the doors serve once the platform has started. */
interface Started {
  readonly fleet: MachineFleet;
  readonly instances: Instances;
  readonly servers: ServersDescription;
}

/**
 * Assembles and starts one server process, in the order in which a query passes its parts. When a step fails,
 * everything that was opened is closed again. Fails with `data_*`, `port_in_use`, `binaries_missing`,
 * `account_unusable`, `start_failed`, `disk_full`, `usage_invalid`.
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
    await opened
      .close()
      .catch((cause: unknown) => log.log('error', 'a failed start could not be cleaned up completely', { cause }));
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
  const publicUrl = options.publicUrl === undefined ? undefined : parsePublicUrl(options.publicUrl);

  const { memoryLimit, cpuLimit, cpuWeight, processLimit, tempLimit } = options;
  const limits = { memoryLimitBytes: memoryLimit, cpuLimit, cpuWeight, processLimit, tempLimitBytes: tempLimit };

  // First, so that no data directory is made that no server could start in.
  await checkBuilds(options.pgBin, options.pgUser);
  // The lock of the directory comes before any other change: another platform may use the directory.
  const data = openDataDirectory(options.data, { userId: process.getuid?.() });
  opened.push(() => data.close());
  // The ports come next, so that a port in use is reported before anything is prepared. Connections wait there until
  // the doors listen.
  const ports = await openPorts(options, publicUrl, log);
  opened.push(() => ports.close());
  const { addresses } = ports;
  const secrets = new Secrets(data.masterKey);
  const control = new Control({
    registry: new Registry(data.registryFile),
    secrets,
    clock,
    random,
    log,
    rest: {
      suspendAfterMs: options.suspendAfter,
      stopAfterMs: options.stopAfter,
      alwaysOn: false,
      listenKeepsAwake: options.listenKeepsAwake,
    },
    bootId: machineBootId(),
    limits,
    addresses,
  });
  opened.push(() => control.close());

  const events = createEvents({ clock, random, logger: log, region: options.region });
  opened.push(() => events.close());
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
      keptBytesMax: options.plansMax,
    },
  });
  opened.push(() => engine.close());
  const machine = await openMachine({ options, directory: data.path, limits, clock, log });
  opened.push(() => machine.close());
  const memory = new MemoryKeeper({ maxBytes: options.memoryMax, machine: machine.memory, clock, logger: log });
  // The databases are opened after the doors, and closed after them too.
  const databases = new ClosingStack();
  opened.push(() => databases.close());

  // The doors listen before the databases are opened. A query that arrives in between waits at the gate.
  const gate = new StartGate<Started>();
  const doors = createDoors({
    options,
    ports,
    control,
    secrets,
    events,
    origin: {
      handle: (request, call) =>
        gate.isOpen
          ? gate.now().fleet.handle(request, call)
          : gate.wait(call.deadline).then(({ fleet }) => fleet.handle(request, call)),
    },
    database: (id) => gate.now().fleet.get(id),
    memory: () => memory.use,
    limits: () => machine.limits(),
    oldest: () => (gate.isOpen ? gate.now().instances.oldest() : undefined),
    ready: () => gate.isOpen,
    servers: () => (gate.isOpen ? gate.now().servers : undefined),
    clock,
    random,
    log,
  });
  opened.push(() => doors.close());
  opened.push(() => gate.fail());
  await doors.listen();

  const { runtime, servers } = await machine.prepare(progress);
  progress(describeIsolation(servers));
  const instances = openInstances({
    runtime,
    memory,
    rest: { suspendAfterMs: options.suspendAfter, stopAfterMs: options.stopAfter },
    clock,
    logger: log,
  });
  const fleet = new MachineFleet(
    { managed: { servers: instances, events } },
    {
      engine,
      publicUrl: addresses.publicUrl,
      onOperation: ({ principal }, operations) =>
        control.catalog.count(principal.keyId, principal.databaseId, operations),
      connectionsMax: options.poolConnections,
      waitersMax: options.poolWaiters,
      clock,
      random,
      log,
    },
  );
  // In reverse: clients of the servers end first, then the servers, and then the logs, which capture writes to until
  // its server has stopped.
  databases.push(() => fleet.closeEvents());
  databases.push(() => instances.close());
  databases.push(() => fleet.closeClients());
  const records = control.databases();
  for (const record of records) fleet.open(record);
  const { adopted } = await instances.recover(records);
  if (adopted.length > 0) progress(`Found ${adopted.length} running from before; they go on.`);
  await control.start(fleet, servers.pgMajor);
  gate.open({ fleet, instances, servers });
  if (control.listDatabases().length === 0) {
    progress(`Creating the first database, ${FIRST_DATABASE}`);
    await control.createDatabase(FIRST_DATABASE);
  }

  data.writeAdminFile({ url: ports.localUrl, adminToken: secrets.adminToken });
  return {
    http: addresses.publicUrl,
    postgres: `postgres://${new URL(addresses.publicUrl).hostname}:${addresses.postgresPort}`,
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
