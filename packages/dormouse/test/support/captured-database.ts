import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import pg from 'pg';
import {
  cryptoRandom,
  type DatabaseRecord,
  DormouseError,
  type KeyId,
  type Logger,
  newDatabaseId,
  systemClock,
} from '../../src/base/index.ts';
import {
  type Capture,
  createEvents,
  type DatabaseEvents,
  type EventLog,
  type Events,
  type EventsLimits,
  type Row,
  type StoredEvent,
} from '../../src/events/index.ts';
import type { Endpoint, Instance, Instances } from '../../src/instance/index.ts';
import { createPool, type Pool } from '../../src/pool/index.ts';
import { connectSocket } from '../../src/session/index.ts';
import { prepareDataDirectory } from './data-directory.ts';
import { openTestMachine } from './open-test-machine.ts';
import { type Scratch, scratch } from './scratch.ts';

/** Real servers with capture, without doors or registry. */
export interface CapturedMachine {
  readonly instances: Instances;
  readonly events: Events;
  readonly home: Scratch;
  readonly warnings: string[];
  /** Connections that capture has opened. */
  readonly connects: () => number;
  create(): Promise<CapturedDatabase>;
  /** Opens a database that an earlier machine created in the same directory; not attached yet. */
  open(record: DatabaseRecord): CapturedDatabase;
  /** Opens the doors for readers: the bearer token of a database is its id. */
  serve(): Promise<Doors>;
  close(): Promise<void>;
}

export interface Doors {
  readonly port: number;
  readonly http: string;
  /** Keys in here are refused from now on. */
  readonly revoked: Set<string>;
  /** Breaks every open connection. */
  cut(): void;
  close(): Promise<void>;
}

export interface CapturedDatabase {
  readonly record: DatabaseRecord;
  readonly instance: Instance;
  readonly events: DatabaseEvents;
  /** Attaches capture to the database's instance, and detaches it. */
  attach(): void;
  detach(): void;
  readonly log: EventLog;
  readonly capture: Capture;
  /** The owner's connections. Before a freeze, one query runs over an idle one of them. */
  readonly pool: Pool;
  /** Opens a session of the owner or of another role. Wakes the database. */
  session(user?: string, database?: string): Promise<pg.Client>;
  /** Runs statements in one session of the owner. */
  sql(...statements: string[]): Promise<pg.QueryResult[]>;
}

export async function startCapturedMachine(
  options: {
    readonly home?: Scratch;
    readonly limits?: Partial<EventsLimits>;
    readonly pgBins?: readonly string[];
  } = {},
): Promise<CapturedMachine> {
  const home = options.home ?? scratch('events');
  const warnings: string[] = [];
  const logger: Logger = {
    log: (level, message, fields) => {
      if (level === 'warn' || level === 'error') warnings.push(`${message} ${JSON.stringify(fields)}`);
    },
  };
  const dataDirectory = join(home.path, 'data');
  if (!existsSync(dataDirectory)) await prepareDataDirectory(dataDirectory);
  const { instances, pgMajor, ...machine } = await openTestMachine({
    logger,
    dataDirectory,
    ...(options.pgBins === undefined ? {} : { pgBins: options.pgBins }),
    rest: { suspendAfterMs: Number.POSITIVE_INFINITY, stopAfterMs: Number.POSITIVE_INFINITY },
  });
  const limits = options.limits ?? {};
  let connects = 0;
  const connect = (endpoint: Endpoint): ReturnType<typeof connectSocket> => {
    connects += 1;
    return connectSocket(endpoint);
  };
  const events = createEvents({ clock: systemClock, random: cryptoRandom, logger, limits, connect });
  const databases = new Map<string, CapturedDatabase>();
  const detaching = new Map<CapturedDatabase, () => void>();
  const open = (record: DatabaseRecord): CapturedDatabase => {
    const instance = instances.open(record);
    const directory = instances.directory(record.id);
    const pool = createPool({
      ...{ instance, role: 'owner', clock: systemClock, random: cryptoRandom, connect: connectSocket, log: logger },
    });
    const ask = (sql: string): Promise<string | undefined> => pool.askIdle(sql);
    const ofDatabase = events.openDatabase({ databaseId: record.id, directory, instance, ask });
    const database: CapturedDatabase = {
      ...capturedDatabase(record, instance, ofDatabase),
      pool,
      attach: () => void detaching.set(database, instance.attach(ofDatabase.attachment)),
      detach: () => detaching.get(database)?.(),
    };
    databases.set(record.id, database);
    return database;
  };
  return {
    instances,
    events,
    home,
    warnings,
    connects: () => connects,
    open,
    async create() {
      const id = newDatabaseId(cryptoRandom);
      const record: DatabaseRecord = {
        id,
        name: `d${randomBytes(4).toString('hex')}`,
        kind: 'managed',
        pgMajor,
        createdAtMs: Date.now(),
      };
      await instances.create(record);
      const database = open(record);
      database.attach();
      await database.instance.wake();
      return database;
    },
    async serve() {
      const revoked = new Set<string>();
      const delivery = events.deliver({
        async authenticate(authorization) {
          const id = authorization?.replace(/^Bearer /, '') ?? '';
          const database = databases.get(id);
          if (database === undefined) throw new DormouseError('key_invalid');
          if (revoked.has(id)) throw new DormouseError('key_revoked');
          return { keyId: 'key_00000000000000000000' as KeyId, databaseId: database.record.id, role: 'owner' };
        },
        database: (id) => databases.get(id)?.events,
      });
      const server = createServer({ maxHeaderSize: 256 * 1024 }, delivery.stream).on('upgrade', delivery.upgrade);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      const { port } = server.address() as AddressInfo;
      return {
        port,
        http: `http://127.0.0.1:${port}`,
        revoked,
        cut: () => server.closeAllConnections(),
        close: () =>
          new Promise((resolve) => {
            server.close(() => resolve());
            server.closeAllConnections();
          }),
      };
    },
    async close() {
      try {
        await Promise.all([...databases.values()].map(({ pool }) => pool.close()));
        await machine.close();
        for (const database of databases.values()) await database.events.close();
        await events.close();
      } finally {
        if (options.home === undefined) home.remove();
      }
    },
  };
}

function capturedDatabase(
  record: DatabaseRecord,
  instance: Instance,
  events: DatabaseEvents,
): Omit<CapturedDatabase, 'attach' | 'detach' | 'pool'> {
  const session = async (user = 'owner', database = 'postgres'): Promise<pg.Client> => {
    await instance.wake();
    const { endpoint } = instance;
    const client = new pg.Client(
      endpoint.kind === 'unix'
        ? { host: dirname(endpoint.path), user, database }
        : { host: endpoint.host, port: endpoint.port, user, database },
    );
    client.on('error', () => {});
    await client.connect();
    return client;
  };
  return {
    record,
    instance,
    events,
    log: events.log,
    capture: events.capture,
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
  const row = (values: Row | undefined): string =>
    values === undefined
      ? ''
      : ` ${values.map((value) => (value === 0 ? '?' : value === 1 ? '!' : (value ?? 'NULL'))).join(',')}`;
  const table = event.relation === undefined ? '' : ` ${event.relation.schema}.${event.relation.name}`;
  const before = event.before === undefined ? '' : `${row(event.before)} ->`;
  return `${event.operation}${table}${before}${row(event.after)}`;
}
