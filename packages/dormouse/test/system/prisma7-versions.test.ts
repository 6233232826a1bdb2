import { dirname } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { LARGE_BODY_BYTES } from '../../src/base/index.ts';
import { type BareEngine, rawPlan, startBareEngine } from '../support/bare-engine.ts';
import type { Loose } from '../support/clients.ts';
import { EARLIER_EXECUTORS, startVendorExecutor, type VendorExecutor } from '../support/vendor-executor.ts';

// Each version of Prisma 7's client gets the replies of its own executor. The same request goes to the platform and to
// that executor, over one server.

let engine: BareEngine;
let url: string;
beforeAll(async () => {
  engine = await startBareEngine();
  const { endpoint } = engine.instance;
  const directory = endpoint.kind === 'unix' ? dirname(endpoint.path) : '';
  url = `postgresql://owner@localhost/postgres?host=${encodeURIComponent(directory)}`;
  await engine.sql(`
    CREATE TYPE mood AS ENUM ('glad', 'sad');
    CREATE TABLE one (id int PRIMARY KEY, email text UNIQUE, "two words" int, "b c" int, n int NOT NULL DEFAULT 0,
      short varchar(3), positive int CHECK (positive > 0), mood mood,
      CONSTRAINT one_pair UNIQUE ("two words", n));
    CREATE TABLE two (id int PRIMARY KEY, one int REFERENCES one ON DELETE RESTRICT);
    INSERT INTO one VALUES (1, 'a', 1, 1, 1, 'abc', 1, 'glad');
    INSERT INTO two VALUES (1, 1);
    CREATE FUNCTION raising(state text) RETURNS int LANGUAGE plpgsql AS $$
      BEGIN RAISE EXCEPTION USING ERRCODE = state, MESSAGE = 'on purpose', DETAIL = 'a detail', HINT = 'a hint'; END $$;
  `);
});
afterAll(() => engine?.close());

function templatePlan(sql: string, kind: 'query' | 'execute'): Loose {
  const args = {
    type: 'templateSql',
    fragments: [{ type: 'stringChunk', chunk: sql }],
    placeholderFormat: { prefix: '$', hasNumbering: true },
    args: [],
    argTypes: [],
    chunkable: false,
  };
  return { operation: 'findMany', plan: { type: kind, args }, params: {} };
}

const STATEMENTS: readonly string[] = [
  "INSERT INTO one (id, email) VALUES (2, 'a')",
  'INSERT INTO one (id) VALUES (1)',
  'INSERT INTO one (id, n, "two words") VALUES (3, 1, 1)',
  'INSERT INTO one (id, n) VALUES (3, NULL)',
  'INSERT INTO two VALUES (2, 99)',
  'DELETE FROM one',
  "UPDATE one SET short = 'abcd'",
  'UPDATE one SET positive = 0',
  'UPDATE one SET n = 99999999999',
  "SELECT 'x'::int",
  "SELECT 'x'::mood",
  'SELECT nothing FROM one',
  'SELECT one.nothing FROM one',
  'SELECT "no" FROM one',
  'INSERT INTO one (nothing) VALUES (1)',
  'UPDATE one SET nothing = 1',
  'SELECT 1 FROM nowhere',
  'SELECT 1/0',
  'SELEC',
  ...['40001', '40P01', '23001', '23505', '23503', '23502', '22P02', '53300', '57014', '0A000', 'P0001', '55P03'].map(
    (state) => `SELECT raising('${state}')`,
  ),
];

const VALUES: readonly string[] = [
  `SELECT '\\x0102ff'::bytea AS a, ARRAY['\\x01'::bytea, NULL] AS b`,
  `SELECT 1 AS a, 2::int8 AS b, 1.5::numeric AS c, 1.25::float8 AS d, true AS e, 'x' AS f, NULL AS g`,
  `SELECT '{"a":[1,null]}'::jsonb AS a, ARRAY['{"a":1}'::json] AS b, '2024-01-02 03:04:05.678'::timestamp AS c, '2024-01-02'::date AS d, '03:04'::time AS e`,
  `SELECT ARRAY[1,2] AS a, ARRAY[1::int8, NULL] AS b, 'glad'::mood AS c, '00000000-0000-0000-0000-000000000001'::uuid AS d, '10.0.0.1'::inet AS e, 12.5::money AS f`,
  `SELECT '2024-01-02 03:04:05.678+02'::timestamptz AS a, ARRAY['2024-01-02'::date] AS b, 'a'::bit AS c`.replace(
    "'a'::bit",
    "B'101'",
  ),
];

interface Said {
  readonly status: number;
  readonly json: Loose;
}

describe.each(EARLIER_EXECUTORS)('a client of Prisma %s', (version) => {
  let vendor: VendorExecutor;
  beforeAll(async () => {
    vendor = await startVendorExecutor(url, version);
  });
  afterAll(() => vendor?.stop());

  async function ours(path: string, body: Loose): Promise<Said> {
    const { status, json } = await engine.ask(path, body, {
      headers: { 'prisma-engine-hash': `${version}.0`, 'prisma-engine-version': 'unknown' },
    });
    return { status, json };
  }
  async function theirs(path: string, body: Loose): Promise<Said> {
    const reply = await fetch(vendor.http + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return { status: reply.status, json: await reply.json() };
  }
  /** The error as the client of that version shows it. */
  function shown({ status, json }: Said): Loose {
    const { code, error, meta } = json;
    return { status, code: code ?? 'P6000', error, meta };
  }

  it.each(STATEMENTS)('a client of an earlier Prisma 7 gets the error of %s as from its own executor', async (sql) => {
    for (const kind of ['query', 'execute'] as const) {
      for (const body of [templatePlan(sql, kind), rawPlan(sql, [], kind)]) {
        expect(shown(await ours('/query', body))).toEqual(shown(await theirs('/query', body)));
      }
    }
  });

  it('errors in an interactive transaction and of a large body are those of the client’s own executor', async () => {
    const sql = "INSERT INTO one (id, email) VALUES (2, 'a')";
    for (const each of [sql, 'SELECT 1/0', "SELECT 'x'::mood"]) {
      const body = templatePlan(each, 'query');
      const said = await Promise.all(
        [ours, theirs].map(async (ask) => {
          const { json } = await ask('/transaction/start', { timeout: 10_000, maxWait: 10_000 });
          const failure = shown(await ask(`/transaction/${json.id}/query`, body));
          await ask(`/transaction/${json.id}/rollback`, {});
          return failure;
        }),
      );
      expect(said[0]).toEqual(said[1]);
      const large = { ...body, comments: { padding: 'x'.repeat(LARGE_BODY_BYTES) } };
      expect(shown(await ours('/query', large))).toEqual(said[1]);
    }
  });

  it('the error for a value that does not fit its field is that of the client’s own executor', async () => {
    const field = { type: 'field', dbName: 'a', fieldType: { type: 'json', arity: 'scalar' } };
    const structure = { type: 'object', serializedName: null, skipNulls: false, fields: { a: field } };
    for (const [type, sql] of [
      ['int', "SELECT 'x' AS a"],
      ['bigint', "SELECT 'x' AS a"],
      ['boolean', "SELECT 'x' AS a"],
    ]) {
      const { plan } = templatePlan(sql as string, 'query');
      const fields = { a: { ...field, fieldType: { type, arity: 'scalar' } } };
      const args = { expr: plan, structure: { ...structure, fields }, enums: {} };
      const body = { operation: 'findMany', plan: { type: 'dataMap', args }, params: {} };
      expect(shown(await ours('/query', body))).toEqual(shown(await theirs('/query', body)));
    }
  });

  it('a client gives its version by either header, and counts as the newest version if neither can be read', async () => {
    const body = templatePlan("INSERT INTO one (id, email) VALUES (2, 'a')", 'query');
    const error = async (hash?: string, commit?: string): Promise<string> => {
      const headers = {
        ...(hash && { 'prisma-engine-hash': hash }),
        ...(commit && { 'prisma-engine-version': commit }),
      };
      return (await engine.ask('/query', body, { headers })).json.error;
    };
    const before = 'Unique constraint failed on the fields: (`email`)';
    const after = 'Unique constraint failed on the constraint: `one_email_key`';
    for (const hash of [`${version}.0`, `${version}.99`, `${version}.0-dev.3`]) expect(await error(hash)).toBe(before);
    expect(await error(undefined, 'ab635e6b9d606fa5c8fb8b1a7f909c3c3c1c98ba')).toBe(before);
    expect(await error('local', '7.9.0-1.e922089b7d7502aff4249d5da3420f6fa55fc6ad')).toBe(before);
    for (const hash of ['7.10.0', '7.11.3', '8.0.0', 'local', '7', '99999999999.0.0', undefined]) {
      expect(await error(hash, 'an unknown commit')).toBe(after);
    }
    // If the two headers differ, the version counts.
    expect(await error('7.10.0', 'ab635e6b9d606fa5c8fb8b1a7f909c3c3c1c98ba')).toBe(after);
  });

  it('a client finds the spans in the place where its version reads them', async () => {
    const headers = { 'prisma-engine-hash': `${version}.0`, 'x-capture-telemetry': 'tracing' };
    const { json } = await engine.ask('/query', rawPlan('SELECT 1'), { headers });
    expect(json.extensions.spans).not.toEqual([]);
    // According to the client's own code the place is `extensions.traces` up to 7.1.
    expect(json.extensions.traces).toEqual(version === '7.1' ? json.extensions.spans : undefined);
  });

  it.each(VALUES)('a client of an earlier Prisma 7 gets the values of %s as from its own executor', async (sql) => {
    const body = rawPlan(sql);
    expect(await ours('/query', body)).toEqual(await theirs('/query', body));
  });
});
