import { createHash } from 'node:crypto';
import { join } from 'node:path';
import {
  type Call,
  Cancellation,
  cryptoRandom,
  type DatabaseId,
  Deadline,
  DormouseError,
  type KeyId,
  LARGE_BODY_BYTES,
  type OriginRoute,
  type RequestId,
  type Role,
  silentLogger,
  systemClock,
  Timings,
} from '../../src/base/index.ts';
import { createEngine, type Engine, type EngineDatabase, type EngineLimits } from '../../src/engine/index.ts';
import { createPool, type Pool } from '../../src/pool/index.ts';
import { connectSocket } from '../../src/session/index.ts';
import { type BareInstance, startBareInstance } from './bare-instance.ts';
import type { Loose } from './clients.ts';
import { originRoute } from './origin-route.ts';
import { type Scratch, scratch } from './scratch.ts';

export const LIMITS: EngineLimits = {
  replyBytesMax: 4 * 2 ** 20,
  queryMs: 20_000,
  transactionMs: 20_000,
  transactionsMax: 20,
  schemasMax: 5,
  schemaBytesMax: 2 ** 20,
  keptBytesMax: 2 ** 26,
};

/** Who sends a request, by which protocol, and what happens to the request. */
export interface AskOptions {
  readonly role?: Role;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly method?: string;
  readonly cancellation?: Cancellation;
  readonly timings?: Timings;
}

export interface Answer {
  /** 0 if the engine throws a DormouseError, which the HTTP door would turn into a reply. */
  readonly status: number;
  readonly json: Loose;
  /** The code of a DormouseError. */
  readonly code?: string;
}

/** The engine over a bare server: no edge, no HTTP, two connections per role. */
export interface BareEngine {
  readonly instance: BareInstance;
  readonly schemas: Scratch;
  readonly database: EngineDatabase;
  /** Operations counted. */
  readonly operations: () => number;
  /** What the engine's programs ran, over all engines opened. */
  readonly executions: () => Engine['programExecutions'];
  pool(role: Role): Pool;
  ask(path: string, body: unknown, options?: AskOptions): Promise<Answer>;
  /** Runs SQL as the owner, past the engine; gives the first row's values as text. */
  sql(text: string): Promise<(string | null)[]>;
  /** A second engine over the same server and schemas, as after a restart. */
  reopen(largeBodyBytes?: number): EngineDatabase;
  /** A second engine that reads no metadata of schemas: it compiles each Prisma 6 query as a whole. */
  reopenUnread(): EngineDatabase;
  /** A second engine that compiles no plan: Prisma's runtime executes all. `executions` does not count its requests. */
  openRuntime(largeBodyBytes?: number): {
    readonly database: EngineDatabase;
    readonly executions: () => Engine['programExecutions'];
  };
  /** A second database of the first engine, on the same server. */
  neighbour(name?: string): EngineDatabase;
  close(): Promise<void>;
}

export function callOf(route: OriginRoute, options: AskOptions = {}): Call {
  const { role = 'owner', key = 'one', cancellation = new Cancellation(), timings = new Timings() } = options;
  return {
    requestId: '0000000000000000' as RequestId,
    route,
    principal: { keyId: `key_${key}` as KeyId, databaseId: 'db_bare' as DatabaseId, role },
    timings,
    deadline: Deadline.in(systemClock, 60_000),
    cancellation,
  };
}

/** Sends one request to an engine, and gives the reply or the error. */
export async function askEngine(
  database: EngineDatabase,
  path: string,
  body: unknown,
  options: AskOptions = {},
): Promise<Answer> {
  // A copy: what is read in a thread is handed over.
  const bytes =
    body instanceof Uint8Array
      ? new Uint8Array(body)
      : Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
  const request = { header: (name: string) => options.headers?.[name], body: bytes };
  try {
    const route = originRoute(options.method ?? 'POST', path);
    const reply = await database.handle(request, callOf(route, options));
    const text = Buffer.from(reply.body).toString('utf8');
    return {
      status: reply.status,
      json: reply.headers['content-type'] === 'application/json' ? JSON.parse(text) : text,
    };
  } catch (error) {
    if (!(error instanceof DormouseError)) throw error;
    return { status: 0, json: error.message, code: error.code };
  }
}

/** `DORMOUSE_LARGE_BODY_BYTES=0` runs the queries of any test in threads, as those with large bodies are. */
const CHOSEN_BODY_BYTES = process.env.DORMOUSE_LARGE_BODY_BYTES;

export async function startBareEngine(
  options: {
    readonly limits?: Partial<EngineLimits>;
    readonly settings?: Readonly<Record<string, string>>;
    readonly largeBodyBytes?: number;
    readonly largeBodyPrepareMs?: number;
  } = {},
): Promise<BareEngine> {
  const instance = await startBareInstance(options.settings === undefined ? {} : { settings: options.settings });
  const schemas = scratch('engine');
  const pools = new Map<Role, Pool>();
  const pool = (role: Role): Pool => {
    let known = pools.get(role);
    if (known === undefined) {
      known = createPool({
        instance,
        role,
        clock: systemClock,
        random: cryptoRandom,
        connect: connectSocket,
        log: silentLogger,
        connectionsMax: 2,
      });
      pools.set(role, known);
    }
    return known;
  };
  let operations = 0;
  const closes: (() => Promise<void>)[] = [];
  const engines: Engine[] = [];
  const start = (largeBodyBytes: number, programs: boolean, metadataBytesMax?: number): Engine => {
    const limits = { ...LIMITS, ...options.limits };
    const { largeBodyPrepareMs } = options;
    const engine = createEngine({
      clock: systemClock,
      random: cryptoRandom,
      log: silentLogger,
      limits,
      largeBodyBytes,
      programs,
      ...(largeBodyPrepareMs === undefined ? {} : { largeBodyPrepareMs }),
      ...(metadataBytesMax === undefined ? {} : { metadataBytesMax }),
    });
    closes.push(() => engine.close());
    return engine;
  };
  const openOn = (engine: Engine, id: string, directory: string): EngineDatabase => {
    const opened = engine.openDatabase({
      databaseId: id as DatabaseId,
      pool,
      schemaDirectory: join(schemas.path, directory),
      publicUrl: 'http://localhost:1234/',
      onOperation: (_call, count) => {
        operations += count;
      },
    });
    // What is in it ends before its engine does.
    closes.unshift(() => opened.close());
    return opened;
  };
  const largeBodyBytes =
    options.largeBodyBytes ?? (CHOSEN_BODY_BYTES === undefined ? LARGE_BODY_BYTES : Number(CHOSEN_BODY_BYTES));
  const open = (bytes = largeBodyBytes): EngineDatabase => {
    const engine = start(bytes, true);
    engines.push(engine);
    return openOn(engine, 'db_bare', 'schemas');
  };
  const database = open();
  return {
    instance,
    schemas,
    database,
    operations: () => operations,
    executions: () => ({
      byProgram: engines.reduce((sum, engine) => sum + engine.programExecutions.byProgram, 0),
      handedOver: engines.reduce((sum, engine) => sum + engine.programExecutions.handedOver, 0),
      failed: engines.reduce((sum, engine) => sum + engine.programExecutions.failed, 0),
    }),
    pool,
    ask: (path, body, ask) => askEngine(database, path, body, ask),
    async sql(text) {
      const lease = await pool('owner').acquire({ deadline: Deadline.in(systemClock, 20_000) });
      try {
        const { rows } = await lease.script(text);
        const [row] = rows;
        return row === undefined ? [] : textsOf(row);
      } finally {
        lease.release();
      }
    },
    reopen: open,
    reopenUnread: () => openOn(start(largeBodyBytes, true, 0), 'db_bare', 'schemas'),
    openRuntime(bytes = largeBodyBytes) {
      const engine = start(bytes, false);
      return {
        database: openOn(engine, 'db_bare', 'schemas'),
        executions: () => ({ ...engine.programExecutions }),
      };
    },
    neighbour: (name = 'neighbour') => openOn(engines[0] as Engine, `db_${name}`, name),
    async close() {
      for (const close of closes) await close();
      await Promise.all([...pools.values()].map((each) => each.close()));
      await instance.remove();
      schemas.remove();
    },
  };
}

function textsOf(row: Uint8Array): (string | null)[] {
  const bytes = Buffer.from(row);
  const values: (string | null)[] = [];
  let at = 2;
  for (let index = 0; index < bytes.readInt16BE(0); index++) {
    const length = bytes.readInt32BE(at);
    at += 4;
    values.push(length < 0 ? null : bytes.toString('utf8', at, at + length));
    at += Math.max(0, length);
  }
  return values;
}

/** A plan of one raw query, as Prisma Client 7 sends it. */
export function rawPlan(sql: string, args: readonly unknown[] = [], kind: 'query' | 'execute' = 'query'): Loose {
  const argTypes = args.map((value) => ({ arity: Array.isArray(value) ? 'list' : 'scalar', scalarType: 'unknown' }));
  return { operation: 'queryRaw', plan: { type: kind, args: { type: 'rawSql', sql, args, argTypes } }, params: {} };
}

/** What Prisma Client 6 uploads for a schema, and the hash that it calls it by. */
export function uploadOf(schema: string): { readonly base64: string; readonly hash: string } {
  const base64 = Buffer.from(schema).toString('base64');
  return { base64, hash: createHash('sha256').update(base64).digest('hex') };
}
