import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Cancellation, Timings } from '../../src/base/index.ts';
import { type BareEngine, rawPlan, startBareEngine } from '../support/bare-engine.ts';
import { until } from '../support/until.ts';

let engine: BareEngine;
beforeAll(async () => {
  engine = await startBareEngine();
  await engine.sql(`CREATE TABLE note (id int PRIMARY KEY, text text NOT NULL)`);
});
afterAll(() => engine?.close());

const running = (what: string): Promise<boolean> =>
  engine
    .sql(
      `SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%${what}%' AND pid <> pg_backend_pid()`,
    )
    .then(([count]) => count !== '0');

const noneLeased = (): Promise<boolean> =>
  until(() => engine.pool('owner').stats.leased === 0, { what: 'every lease is given back' });

describe('a query', () => {
  it('a query records the time of its stages, and counts as one operation', async () => {
    const timings = new Timings();
    const before = engine.operations();
    const { status, json } = await engine.ask('/query', rawPlan('SELECT 1 AS one'), { timings });
    expect(status).toBe(200);
    expect(json).toEqual({ data: { columns: ['one'], types: ['int'], rows: [[1]] } });
    expect(timings.get('sql')).toBeGreaterThan(0);
    expect(engine.operations()).toBe(before + 1);
  });

  it('a query that takes too long is cancelled in Postgres', async () => {
    const { code } = await engine.ask('/query', rawPlan(`SELECT pg_sleep(30)::text /* slow */`), {
      headers: { 'x-query-timeout': 'PT0.2S' },
    });
    expect(code).toBe('query_timeout');
    await until(async () => !(await running('/* slow */')), { what: 'the statement is gone' });
    await noneLeased();
  });

  it('a query whose client hangs up is cancelled in Postgres', async () => {
    const cancellation = new Cancellation();
    const asked = engine.ask('/query', rawPlan(`SELECT pg_sleep(30)::text /* left */`), { cancellation });
    await until(() => running('/* left */'), { what: 'the statement runs' });
    cancellation.cancel();
    expect((await asked).code).toBe('interrupted');
    await until(async () => !(await running('/* left */')), { what: 'the statement is gone' });
    await noneLeased();
  });

  it('a query whose reply is over the limit is refused, and the next query is served', async () => {
    const sql = `SELECT repeat('x', 1000) AS x FROM generate_series(1, 2000)`;
    const small = { headers: { 'x-max-response-size': '1MB' } };
    expect((await engine.ask('/query', rawPlan(sql), small)).code).toBe('reply_too_large');
    expect((await engine.ask('/query', rawPlan(sql))).status).toBe(200);
    // The header may only lower the limit.
    const large = { headers: { 'x-max-response-size': '1GB' } };
    const over = `SELECT repeat('x', 1000) AS x FROM generate_series(1, 6000)`;
    expect((await engine.ask('/query', rawPlan(over), large)).code).toBe('reply_too_large');
    // The rows are within the limit, but their JSON is not.
    const escaped = `SELECT repeat(chr(1), 1000) AS x FROM generate_series(1, 800)`;
    expect((await engine.ask('/query', rawPlan(escaped))).code).toBe('reply_too_large');
    await noneLeased();
  });

  it('a query with a malformed limit is refused', async () => {
    const headers = { 'x-query-timeout': 'soon' };
    expect((await engine.ask('/query', rawPlan('SELECT 1'), { headers })).code).toBe('request_invalid');
  });

  it('a query that the role may not run is refused with a code and a message that name the reason', async () => {
    const insert = {
      type: 'execute',
      args: {
        type: 'templateSql',
        fragments: [{ type: 'stringChunk', chunk: `INSERT INTO note VALUES (1, 'x')` }],
        placeholderFormat: { prefix: '$', hasNumbering: true },
        args: [],
        argTypes: [],
        chunkable: false,
      },
    };
    const refused = await engine.ask(
      '/query',
      { operation: 'createMany', plan: insert, params: {} },
      { role: 'reader' },
    );
    expect(refused.status).toBe(400);
    expect(refused.json).toMatchObject({
      code: 'P1010',
      error: expect.stringMatching(/permission denied.*role reader/),
    });
    // Row level security, an error that an application raises, and a function with other rights: none of these concerns
    // the rights of the key's role.
    await engine.sql(`CREATE TABLE guarded (id int, text text); ALTER TABLE guarded ENABLE ROW LEVEL SECURITY;
      CREATE POLICY even ON guarded TO writer USING (true) WITH CHECK (id % 2 = 0);
      CREATE FUNCTION raises() RETURNS int LANGUAGE plpgsql AS $$BEGIN
        RAISE insufficient_privilege USING MESSAGE = 'only on workdays'; END$$;
      CREATE FUNCTION as_owner() RETURNS bigint LANGUAGE sql SECURITY DEFINER AS 'SELECT count(*) FROM pg_catalog.pg_authid'`);
    const chunk = 'INSERT INTO guarded VALUES (1)';
    const policy = { ...insert, args: { ...insert.args, fragments: [{ type: 'stringChunk', chunk }] } };
    for (const [plan, said] of [
      [policy, 'new row violates row-level security policy for table "guarded"'],
      [
        { ...policy, args: { ...policy.args, fragments: [{ type: 'stringChunk', chunk: 'SELECT raises()' }] } },
        'only on workdays',
      ],
      [
        { ...policy, args: { ...policy.args, fragments: [{ type: 'stringChunk', chunk: 'SELECT as_owner()' }] } },
        'permission denied for table pg_authid',
      ],
    ] as const) {
      const { json } = await engine.ask('/query', { operation: 'createMany', plan, params: {} }, { role: 'writer' });
      expect(json).toMatchObject({ code: 'P2039', error: `Database error. Code: \`42501\`. Message: \`${said}\`` });
    }
    const raw = await engine.ask('/query', rawPlan(`INSERT INTO note VALUES (1, 'x')`), { role: 'reader' });
    expect(raw.json).toMatchObject({ code: 'P2010', error: expect.stringContaining('42501') });
    expect((await engine.ask('/query', rawPlan('SELECT * FROM note'), { role: 'reader' })).status).toBe(200);
    const ddl = await engine.ask('/query', rawPlan('CREATE TABLE more (id int)', [], 'execute'), { role: 'writer' });
    expect(ddl.json.error).toContain('42501');
  });
});

describe('telemetry', () => {
  it('a reply has the queries and spans that the request asks for, and nothing else', async () => {
    const headers = { 'x-capture-telemetry': 'tracing, error, query' };
    const { json } = await engine.ask('/query', rawPlan('SELECT $1::int AS n', [5]), { headers });
    const { logs, spans } = json.extensions;
    expect(logs).toHaveLength(1);
    expect(logs[0]).toMatchObject({ level: 'query', attributes: { query: 'SELECT $1::int AS n', params: '[5]' } });
    expect(logs[0].attributes.duration_ms).toBeGreaterThan(0);
    expect(spans).toHaveLength(1);
    expect(spans[0]).toMatchObject({ name: 'prisma:accelerate:db_query', kind: 'client', parentId: null });
    expect(spans[0].id).toBe(logs[0].spanId);
    const [start, end] = [spans[0].startTime, spans[0].endTime].map(([s, ns]: [number, number]) => s * 1e3 + ns / 1e6);
    expect(end).toBeGreaterThanOrEqual(start ?? Number.POSITIVE_INFINITY);
    const silent = await engine.ask('/query', rawPlan('SELECT 1'), { headers: { 'x-capture-telemetry': 'warn' } });
    expect(silent.json.extensions).toBeUndefined();
  });

  it('the comments of a request are written into its statement', async () => {
    const body = {
      ...rawPlan('SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()'),
      comments: { app: `a'b` },
    };
    const { json } = await engine.ask('/query', body);
    expect(json.data.rows[0][0]).toContain(`/*app='a\\'b'*/`);
  });
});
