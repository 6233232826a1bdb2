import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Answer, askEngine, type BareEngine, rawPlan, startBareEngine, uploadOf } from '../support/bare-engine.ts';
import { type Loose, requireOf } from '../support/clients.ts';
import { startPlainPostgres } from '../support/plain-postgres.ts';

// The telemetry of replies as it is sent: the parts that no client reads, and the parts in which several ways to run a
// query must agree.
const SCHEMA = `
generator client {
  provider = "prisma-client-js"
}
datasource db {
  provider = "postgresql"
  url      = env("DATABASE_URL")
}
model Note {
  id   Int    @id
  text String @unique
}
`;
const TABLES = `
  CREATE TABLE "Note" (id int PRIMARY KEY, text text NOT NULL UNIQUE);
  CREATE TABLE deferred (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)`;
const { base64, hash } = uploadOf(SCHEMA);
const SIX = `/6.19.3/${hash}`;

let engine: BareEngine;
beforeAll(async () => {
  engine = await startBareEngine();
  await engine.sql(TABLES);
  await engine.ask(`${SIX}/schema`, base64, { method: 'PUT' });
});
afterAll(() => engine?.close());
beforeEach(() => engine.sql('DELETE FROM "Note"; INSERT INTO "Note" VALUES (1, \'one\')'));

const SAMPLED = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
const all = { 'x-capture-telemetry': 'tracing, query' };
const create = (id: number, text: string): object => ({
  modelName: 'Note',
  action: 'createOne',
  query: { arguments: { data: { id, text } }, selection: { $composites: true, $scalars: true } },
});
const findMany = (where: object = {}): object => ({
  modelName: 'Note',
  action: 'findMany',
  query: { arguments: { where }, selection: { $composites: true, $scalars: true } },
});

/** The span tree of a reply's extensions: the name of each span with the spans below it. */
function told({ json }: Pick<Answer, 'json'>): { readonly spans: unknown; readonly logs: unknown } {
  const { extensions = {} } = json;
  const spans: readonly Loose[] = extensions.spans ?? extensions.traces ?? [];
  const under = (parentId: string | null): unknown[] =>
    spans
      .filter((span) => span.parentId === parentId)
      .map(({ id, name, kind, attributes = {} }) => ({ name, kind, attributes, children: under(id) }));
  const logs = extensions.logs?.map(({ level, message, target, attributes }: Loose) => {
    const { duration, duration_ms: _ours, timestamp, ...rest } = attributes;
    return { level, message, target, attributes: rest, timed: [typeof duration, typeof timestamp] };
  });
  return { spans: under(null), logs };
}

describe("replies to Prisma 7, beside those of the vendor's executor", () => {
  let vendor: { readonly http: string };
  const stops: (() => Promise<unknown>)[] = [];
  beforeAll(async () => {
    const { BasicTracerProvider } = requireOf(7)('@opentelemetry/sdk-trace-base');
    const { trace } = requireOf(7)('@opentelemetry/api');
    trace.setGlobalTracerProvider(new BasicTracerProvider());
    // The vendor's executor takes its tracer when it is loaded, and its ids from that tracer.
    const { startVendorExecutor } = await import('../support/vendor-executor.ts');
    const postgres = await startPlainPostgres();
    stops.push(() => postgres.stop());
    const executor = await startVendorExecutor(postgres.url);
    stops.unshift(() => executor.stop());
    vendor = executor;
    await toVendor('/query', rawPlan(TABLES, [], 'execute'));
    await toVendor('/query', rawPlan(`INSERT INTO "Note" VALUES (1, 'one')`, [], 'execute'));
  }, 60_000);
  afterAll(async () => {
    for (const stop of stops) await stop();
  });

  async function toVendor(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Answer> {
    const reply = await fetch(vendor.http + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', ...headers },
      body: body === undefined ? null : JSON.stringify(body),
    });
    return { status: reply.status, json: await reply.json() };
  }
  const execute = (sql: string): object => (rawPlan(sql, [], 'execute') as Loose).plan;
  const plan = (node: object): object => ({ operation: 'executeRaw', plan: node, params: {} });
  const INSERT = `INSERT INTO "Note" VALUES (2, 'two')`;
  const AGAIN = `INSERT INTO "Note" VALUES (1, 'one')`;
  const within = (...statements: string[]): object =>
    plan({ type: 'transaction', args: { type: 'seq', args: statements.map(execute) } });

  it.each([
    ['a query', plan(execute('SELECT 1'))],
    ['a query that fails', plan(execute('SELEC 1'))],
    ['a transaction that fails in its first statement', within(AGAIN, INSERT)],
    ['a transaction that fails in its second statement', within(INSERT, AGAIN)],
    ['a transaction of nothing', within()],
    ['a commit that fails', within('INSERT INTO deferred VALUES (1), (1)')],
  ])('replies have the telemetry of the vendor’s executor for %s', async (_what, body) => {
    const [ours, reference] = [await engine.ask('/query', body, { headers: all }), await toVendor('/query', body, all)];
    expect(told(ours)).toEqual(told(reference));
    expect(told(reference).spans).not.toEqual([]);
  });

  it('replies have the telemetry of the vendor’s executor for interactive transactions that succeed and that fail, nested ones included', async () => {
    const ask = (path: string, body: unknown): Promise<Answer> => engine.ask(path, body ?? '', { headers: all });
    const run = async (post: (path: string, body: unknown) => Promise<Answer>): Promise<unknown[]> => {
      const said: unknown[] = [];
      const say = async (path: string, body?: unknown): Promise<Answer> => {
        const answer = await post(path, body);
        said.push([path.replace(/[0-9a-f-]{20,}|[^/]{16,}/, 'ID'), told(answer)]);
        return answer;
      };
      for (const [statement, end] of [
        ['SELECT 1', 'commit'],
        ['SELECT 1', 'rollback'],
        [AGAIN, 'rollback'],
        ['INSERT INTO deferred VALUES (1), (1)', 'commit'],
      ] as const) {
        const { json } = await say('/transaction/start', {
          timeout: 5000,
          maxWait: 5000,
          isolationLevel: 'SERIALIZABLE',
        });
        await say(`/transaction/${json.id}/query`, plan(execute(statement)));
        await say(`/transaction/${json.id}/${end}`);
        await say(`/transaction/${json.id}/${end}`);
      }
      const { json } = await say('/transaction/start', { timeout: 5000, maxWait: 5000 });
      await say('/transaction/start', { timeout: 5000, maxWait: 5000, newTxId: json.id });
      await say(`/transaction/${json.id}/rollback`);
      await say(`/transaction/${json.id}/commit`);
      return said;
    };
    expect(await run(ask)).toEqual(await run((path, body) => toVendor(path, body, all)));
  });

  it.each([['tracing'], ['query'], ['tracing, info'], ['tracing,query,warn']])(
    'replies have the members of the vendor’s replies for the telemetry levels "%s"',
    async (levels) => {
      const headers = { 'x-capture-telemetry': levels };
      const body = plan(execute('SELECT 1'));
      const [ours, reference] = [
        await engine.ask('/query', body, { headers }),
        await toVendor('/query', body, headers),
      ];
      expect(Object.keys(ours.json.extensions).sort()).toEqual(Object.keys(reference.json.extensions).sort());
      expect(told(ours)).toEqual(told(reference));
    },
  );
});

describe('replies to Prisma 6', () => {
  const start = async (options: object = {}): Promise<string> => {
    const body = { timeout: 5000, max_wait: 5000, ...options };
    const { json } = await engine.ask(`${SIX}/transaction/start`, body, { headers: all });
    return `${SIX}/itx/${json.id}`;
  };
  const span = (name: string, attributes: object = {}, children: unknown[] = []): object => ({
    name: `prisma:engine:${name}`,
    kind: name === 'db_query' ? 'client' : 'internal',
    attributes,
    children,
  });
  const system = { 'db.system': 'postgresql' };
  const statement = (text: unknown): object => span('db_query', { ...system, 'db.query.text': text });
  const log = (query: unknown, result = 'success', params = '[]'): object => ({
    level: 'query',
    message: undefined,
    target: 'quaint::connector::metrics',
    attributes: { query, params, result, is_query: true },
    timed: ['undefined', 'undefined'],
  });

  it('the telemetry of a failed commit is that of the query engine', async () => {
    const itx = await start();
    const raw = {
      action: 'executeRaw',
      query: { arguments: { query: 'INSERT INTO deferred VALUES (1), (1)' }, selection: {} },
    };
    await engine.ask(`${itx}/graphql`, raw);
    const failed = await engine.ask(`${itx}/commit`, '', { headers: all });
    expect(failed.json.error_code).toBe('P2002');
    expect(told(failed)).toEqual({
      spans: [span('commit_transaction', {}, [statement('COMMIT'), statement('ROLLBACK')])],
      logs: [log('COMMIT', 'error'), log('ROLLBACK')],
    });
    const gone = await engine.ask(`${itx}/rollback`, '', { headers: all });
    expect(told(gone)).toEqual({ spans: [span('rollback_transaction')], logs: [] });
  });

  it('the telemetry of a query in which the transaction expires shows the rollback', async () => {
    const itx = await start({ timeout: 200 });
    const raw = { action: 'queryRaw', query: { arguments: { query: 'SELECT pg_sleep(30)::text' }, selection: {} } };
    const late = await engine.ask(`${itx}/graphql`, raw, { headers: all });
    expect(late.json.errors[0].user_facing_error.error_code).toBe('P2028');
    expect(told(late)).toEqual({
      spans: [span('query', {}, [statement('SELECT pg_sleep(30)::text'), statement('ROLLBACK')])],
      logs: [log('ROLLBACK')],
    });
  });

  it('replies have both logs and traces if the request asks for one of them', async () => {
    for (const levels of ['tracing', 'query', 'tracing, error']) {
      const reply = await engine.ask(`${SIX}/graphql`, findMany(), { headers: { 'x-capture-telemetry': levels } });
      expect(Object.keys(reply.json.extensions).sort(), levels).toEqual(['logs', 'traces']);
      expect(reply.json.extensions.traces.length > 0, levels).toBe(levels.includes('tracing'));
      expect(reply.json.extensions.logs.length > 0, levels).toBe(levels.includes('query'));
    }
  });

  it('replies have neither logs nor traces if the request asks for neither, and the query still runs as a program', async () => {
    for (const levels of [undefined, '', 'info', 'warn, error', 'nonsense']) {
      const before = engine.executions().byProgram;
      const headers = levels === undefined ? {} : { 'x-capture-telemetry': levels };
      const reply = await engine.ask(`${SIX}/graphql`, findMany(), { headers });
      expect(reply.json, levels).toEqual({ data: { findManyNote: [{ id: 1, text: 'one' }] } });
      expect(engine.executions().byProgram - before, levels).toBe(1);
    }
  });

  it('a logged statement ends with its trace id if the trace is sampled, and otherwise has the usual text', async () => {
    const texts = async (traceparent: string): Promise<string[]> => {
      const reply = await engine.ask(`${SIX}/graphql`, findMany(), { headers: { ...all, traceparent } });
      return [
        reply.json.extensions.logs[0].attributes.query,
        reply.json.extensions.traces.find(({ name }: Loose) => name === 'prisma:engine:db_query').attributes[
          'db.query.text'
        ],
      ];
    };
    const [plain] = await texts('');
    expect(await texts(SAMPLED)).toEqual([`${plain} /* traceparent='${SAMPLED}' */`, plain]);
    for (const header of [SAMPLED.replace(/01$/, '00'), '00-10-10-00', SAMPLED.replace(/^00/, 'ff')]) {
      expect(await texts(header), header).toEqual([plain, plain]);
    }
  });

  it('a statement whose traces are not sampled is prepared once for all requests', async () => {
    const traced = (number: number): Record<string, string> => ({
      ...all,
      traceparent: `00-${String(number).padStart(32, 'a')}-00f067aa0ba902b7-00`,
    });
    const itx = await start();
    for (let use = 0; use < 3; use++)
      await engine.ask(`${itx}/graphql`, findMany({ id: use, text: 'x' }), { headers: traced(use) });
    const query = `SELECT count(*)::int FROM pg_prepared_statements WHERE statement LIKE '%"text" = $2%'`;
    const raw = { action: 'queryRaw', query: { arguments: { query }, selection: {} } };
    const { json } = await engine.ask(`${itx}/graphql`, raw);
    expect(json.data.queryRaw.rows).toEqual([[1]]);
    await engine.ask(`${itx}/rollback`, '');
  });
});

describe('a request that is answered in a thread', () => {
  afterEach(() => engine.sql('DELETE FROM "Note" WHERE id > 1'));

  it('a request that is answered in a thread has the same telemetry as one that is answered on the main loop', async () => {
    const inThread = engine.reopen(0);
    const { plan: nested } = rawPlan(`INSERT INTO "Note" VALUES (5, 'five')`, [], 'execute') as Loose;
    const seven = { operation: 'executeRaw', plan: { type: 'transaction', args: nested }, params: {} };
    const cases: (readonly [string, object])[] = [
      [`${SIX}/graphql`, findMany({ id: 1 })],
      [`${SIX}/graphql`, create(2, 'two')],
      [`${SIX}/graphql`, create(3, 'one')],
      [`${SIX}/graphql`, { batch: [findMany(), create(4, 'four')], transaction: { isolationLevel: 'Serializable' } }],
      [`${SIX}/graphql`, { batch: [findMany(), create(4, 'one')], transaction: {} }],
      ['/query', rawPlan('SELECT $1::int', [7])],
      ['/query', rawPlan('SELEC 1')],
      ['/query', seven],
    ];
    for (const [path, body] of cases) {
      const headers = { ...all, traceparent: SAMPLED };
      const byLoop = await engine.ask(path, body, { headers });
      await engine.sql('DELETE FROM "Note" WHERE id > 1');
      const byThread = await askEngine(inThread, path, body, { headers });
      await engine.sql('DELETE FROM "Note" WHERE id > 1');
      expect(told(byThread), JSON.stringify(body)).toEqual(told(byLoop));
      expect(told(byLoop).spans, JSON.stringify(body)).not.toEqual([]);
    }
  });
});
