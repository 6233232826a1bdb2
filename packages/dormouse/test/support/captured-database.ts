import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { dirname, join } from 'node:path';
import pg from 'pg';
import { cryptoRandom, type DatabaseRecord, newDatabaseId, systemClock } from '../../src/base/index.ts';
import { Capture } from '../../src/events/capture.ts';
import type { EventLog, StoredEvent } from '../../src/events/event-log.ts';
import { DEFAULT_LOG_LIMITS, type LogLimits } from '../../src/events/log-file.ts';
import { EventLogs } from '../../src/events/log-host.ts';
import { type Instance, type Instances, openInstances } from '../../src/instance/index.ts';
import { type Scratch, scratch } from './scratch.ts';

/** Real servers with capture, without doors or registry. */
export interface CapturedMachine {
  readonly instances: Instances;
  readonly logs: EventLogs;
  readonly home: Scratch;
  create(limits?: Partial<LogLimits>): Promise<CapturedDatabase>;
  close(): Promise<void>;
}

export interface CapturedDatabase {
  readonly record: DatabaseRecord;
  readonly instance: Instance;
  readonly log: EventLog;
  readonly capture: Capture;
  readonly warnings: string[];
  /** A session of the owner's, or of another role. Wakes the database; the hold lasts until it ends. */
  session(user?: string): Promise<pg.Client>;
  /** Runs statements in one session of the owner's. */
  sql(...statements: string[]): Promise<pg.QueryResult[]>;
}

export async function startCapturedMachine(options: { readonly home?: Scratch } = {}): Promise<CapturedMachine> {
  const home = options.home ?? scratch('events');
  const instances = await openInstances({
    dataDirectory: join(home.path, 'data'),
    rest: { suspendAfterMs: Number.POSITIVE_INFINITY, stopAfterMs: Number.POSITIVE_INFINITY },
  });
  const { pgMajor } = await instances.prepare();
  const logs = new EventLogs(systemClock);
  return {
    instances,
    logs,
    home,
    async create(limits = {}) {
      const id = newDatabaseId(cryptoRandom);
      const record: DatabaseRecord = {
        id,
        name: `d${randomBytes(4).toString('hex')}`,
        pgMajor,
        createdAtMs: Date.now(),
      };
      await instances.create(record);
      const database = openCaptured({ instances, logs }, record, limits);
      await database.instance.wake();
      await database.capture.preparing();
      database.instance.attach(database.capture);
      return database;
    },
    async close() {
      try {
        await instances.close();
        await logs.close();
      } finally {
        if (options.home === undefined) home.remove();
      }
    },
  };
}

/** Capture over the instance of a database; not attached yet. */
export function openCaptured(
  machine: { readonly instances: Instances; readonly logs: EventLogs },
  record: DatabaseRecord,
  limits: Partial<LogLimits> = {},
): CapturedDatabase {
  const instance = machine.instances.open(record);
  const warnings: string[] = [];
  const log = machine.logs.open(join(machine.instances.directory(record.id), 'events.db'), {
    ...DEFAULT_LOG_LIMITS,
    ...limits,
  });
  const capture = new Capture({
    instance,
    log,
    clock: systemClock,
    connect: (endpoint) => (endpoint.kind === 'unix' ? connect(endpoint.path) : connect(endpoint.port, endpoint.host)),
    logger: {
      log: (level, message, fields) => {
        if (level === 'warn' || level === 'error') warnings.push(`${message} ${JSON.stringify(fields)}`);
      },
    },
  });
  const session = async (user = 'owner'): Promise<pg.Client> => {
    await instance.wake();
    const { endpoint } = instance;
    const client = new pg.Client(
      endpoint.kind === 'unix'
        ? { host: dirname(endpoint.path), user, database: 'postgres' }
        : { host: endpoint.host, port: endpoint.port, user, database: 'postgres' },
    );
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  return {
    record,
    instance,
    log,
    capture,
    warnings,
    session,
    async sql(...statements) {
      const client = await session();
      try {
        const results: pg.QueryResult[] = [];
        for (const statement of statements) results.push(await client.query(statement));
        return results;
      } finally {
        await client.end();
      }
    },
  };
}

/** Everything the log shows, from its floor. */
export async function allEvents(log: EventLog): Promise<StoredEvent[]> {
  const events: StoredEvent[] = [];
  let after = (await log.state()).floor;
  for (;;) {
    const result = await log.read({ after, limit: 1000 });
    events.push(...result.events);
    after = result.upTo;
    if (result.atTail) return events;
  }
}

/** An event as one short line: `insert public.t 1,a`. */
export function lineOf(event: StoredEvent): string {
  const row = (values: readonly (string | null | 0)[] | undefined): string =>
    values === undefined ? '' : ` ${values.map((value) => (value === 0 ? '?' : (value ?? 'NULL'))).join(',')}`;
  const table = event.relation === undefined ? '' : ` ${event.relation.schema}.${event.relation.name}`;
  const before = event.before === undefined ? '' : `${row(event.before)} ->`;
  return `${event.operation}${table}${before}${row(event.after)}`;
}
