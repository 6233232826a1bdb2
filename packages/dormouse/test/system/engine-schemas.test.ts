import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { ERRORS, Timings } from '../../src/base/index.ts';
import { type Answer, askEngine, type BareEngine, startBareEngine, uploadOf } from '../support/bare-engine.ts';

const schemaOf = (extra = ''): string => `
generator client {
  provider        = "prisma-client-js"
  previewFeatures = ["relationJoins", "metrics"]
}
datasource db {
  provider = "postgresql"
  url      = env("DATABASE_URL") // "kept elsewhere"
}
model Note {
  id   Int    @id
  text String @unique @map("body")
  kind Kind   @default(PLAIN)
  at   DateTime?
}
enum Kind {
  PLAIN
  LOUD  @map("loud")
}
${extra}
`;

let engine: BareEngine;
beforeAll(async () => {
  engine = await startBareEngine({ limits: { schemasMax: 2, schemaBytesMax: 10_000 } });
  await engine.sql(`
    CREATE TYPE "Kind" AS ENUM ('PLAIN', 'loud');
    CREATE TABLE "Note" (id int PRIMARY KEY, body text NOT NULL UNIQUE, kind "Kind" NOT NULL DEFAULT 'PLAIN', at timestamp(3))`);
});
afterAll(() => engine?.close());
beforeEach(() => engine.sql('DELETE FROM "Note"'));

const VERSION = '6.19.0';
const upload = (schema: string, hash = uploadOf(schema).hash, database = engine.database): Promise<Answer> =>
  askEngine(database, `/${VERSION}/${hash}/schema`, uploadOf(schema).base64, { method: 'PUT' });
const ask = (schema: string, body: unknown, database = engine.database, under = ''): Promise<Answer> =>
  askEngine(database, `/${VERSION}/${uploadOf(schema).hash}${under}/graphql`, body);
const findMany = (where: object = {}): object => ({
  modelName: 'Note',
  action: 'findMany',
  query: { arguments: { where, orderBy: { id: 'asc' } }, selection: { $composites: true, $scalars: true } },
});
const create = (id: number, text = `n${id}`): object => ({
  modelName: 'Note',
  action: 'createOne',
  query: { arguments: { data: { id, text } }, selection: { $composites: true, $scalars: true } },
});
const raw = (query: string, parameters: unknown[] = []): object => ({
  action: 'queryRaw',
  query: { arguments: { query, parameters: JSON.stringify(parameters) }, selection: {} },
});
const SCHEMA = schemaOf();
/** The edge writes this error in the form that makes a client upload its schema (edge/render-error.ts). */
const missing = { status: 0, code: 'schema_missing', json: ERRORS.schema_missing.message };
const files = (): string[] => readdirSync(join(engine.schemas.path, 'schemas')).sort();

describe('an uploaded schema', () => {
  it('a missing schema is asked for, accepted, and acknowledged with its hash', async () => {
    expect(await ask(SCHEMA, findMany())).toEqual(missing);
    const { hash } = uploadOf(SCHEMA);
    expect(await upload(SCHEMA)).toEqual({ status: 200, json: hash });
    expect(await ask(SCHEMA, findMany())).toEqual({ status: 200, json: { data: { findManyNote: [] } } });
    expect(files()).toEqual([`${hash}.prisma`]);
  });

  it('an uploaded schema is kept over a restart', async () => {
    await upload(SCHEMA);
    const later = engine.reopen();
    expect((await ask(SCHEMA, findMany(), later)).status).toBe(200);
  });

  it('an uploaded schema must match its hash, be small enough, be valid, and be for Postgres', async () => {
    expect((await upload(SCHEMA, 'a'.repeat(64))).code).toBe('request_invalid');
    const { hash } = uploadOf('x');
    expect((await askEngine(engine.database, `/6/${hash}/schema`, 'not base64 §', { method: 'PUT' })).code).toBe(
      'request_invalid',
    );
    expect((await upload(schemaOf(`// ${'x'.repeat(10_000)}`))).code).toBe('body_too_large');
    const invalid = await upload(schemaOf('model Broken {\n id Nothing @id\n}'));
    expect(invalid.code).toBe('schema_invalid');
    expect(invalid.json).toContain('Type "Nothing" is neither a built-in type');
    const mysql = await upload(SCHEMA.replace('"postgresql"', '"mysql"'));
    expect(mysql).toMatchObject({ code: 'schema_invalid', json: expect.stringContaining('mysql') });
    expect((await upload('no schema at all')).code).toBe('schema_invalid');
    expect(files().every((name) => name.endsWith('.prisma'))).toBe(true);
  });

  it('an upload above the limit removes the least recently used schema', async () => {
    const [one, two, three] = [schemaOf('// 1'), schemaOf('// 2'), schemaOf('// 3')];
    await upload(one);
    await upload(two);
    expect((await ask(one, findMany())).status).toBe(200);
    await upload(three);
    expect(await ask(two, findMany())).toEqual(missing);
    expect((await ask(one, findMany())).status).toBe(200);
    expect((await ask(three, findMany())).status).toBe(200);
    expect(files()).toHaveLength(2);
  });

  it('a schema whose file is damaged is asked for again', async () => {
    await upload(SCHEMA);
    const file = join(engine.schemas.path, 'schemas', `${uploadOf(SCHEMA).hash}.prisma`);
    writeFileSync(file, readFileSync(file, 'utf8').replace('Note', 'Nope'));
    const later = engine.reopen();
    expect(await ask(SCHEMA, findMany(), later)).toEqual(missing);
    expect((await upload(SCHEMA, undefined, later)).status).toBe(200);
    expect((await ask(SCHEMA, findMany(), later)).status).toBe(200);
  });
});

describe('a JSON query', () => {
  beforeEach(() => upload(SCHEMA));

  it('queries of one shape are compiled once, whatever their values', async () => {
    const path = `/${VERSION}/${uploadOf(SCHEMA).hash}/graphql`;
    const timed = async (body: unknown): Promise<number | undefined> => {
      const timings = new Timings();
      expect((await engine.ask(path, body, { timings })).status).toBe(200);
      return timings.get('compile');
    };
    expect(await timed(findMany({ text: { contains: 'a' }, kind: 'LOUD' }))).toBeGreaterThan(0);
    expect(await timed(findMany({ text: { contains: 'b' }, kind: 'PLAIN' }))).toBeUndefined();
    expect(await timed(findMany({ text: { endsWith: 'b' }, kind: 'PLAIN' }))).toBeGreaterThan(0);
  });

  it('the reply to a JSON query has tagged values', async () => {
    await engine.sql(`INSERT INTO "Note" VALUES (1, 'a', 'loud', '2024-01-02 03:04:05.678')`);
    const { json } = await ask(SCHEMA, findMany({ kind: { in: ['LOUD'] } }));
    expect(json.data.findManyNote).toEqual([
      { id: 1, text: 'a', kind: 'LOUD', at: { $type: 'DateTime', value: '2024-01-02T03:04:05.678+00:00' } },
    ]);
  });

  it('a JSON query that does not fit the schema is refused in the form that the client expects', async () => {
    const { status, json } = await ask(SCHEMA, findMany({ nope: 1 }));
    expect(status).toBe(200);
    expect(json.errors[0].user_facing_error).toMatchObject({
      is_panic: false,
      error_code: 'P2009',
      meta: { kind: 'UnknownInputField', argumentPath: ['where', 'nope'] },
    });
    expect(
      (await ask(SCHEMA, { modelName: 'Nobody', action: 'findMany', query: { selection: {} } })).json.errors,
    ).toHaveLength(1);
    for (const body of [
      {},
      { action: 'findMany' },
      { action: 1, query: {} },
      { batch: [1] },
      { modelName: {}, action: 'findMany', query: {} },
    ]) {
      expect((await ask(SCHEMA, body)).code, JSON.stringify(body)).toBe('request_invalid');
    }
  });

  it('each query of a batch has its own result, or all share one transaction', async () => {
    const apart = await ask(SCHEMA, { batch: [create(1), create(1), raw('SELECT 1 AS one')] });
    expect(apart.json.batchResult).toEqual([
      { data: { createOneNote: expect.objectContaining({ id: 1 }) } },
      { errors: [expect.objectContaining({ user_facing_error: expect.objectContaining({ error_code: 'P2002' }) })] },
      { data: { queryRaw: { columns: ['one'], types: ['int'], rows: [[1]] } } },
    ]);
    const together = await ask(SCHEMA, {
      batch: [create(2), create(1)],
      transaction: { isolationLevel: 'Serializable' },
    });
    expect(together.json).toEqual({
      errors: [
        expect.objectContaining({
          user_facing_error: expect.objectContaining({
            error_code: 'P2002',
            batch_request_idx: 1,
            message: 'Unique constraint failed on the fields: (`id`)',
            meta: { modelName: 'Note', target: ['id'] },
          }),
        }),
      ],
    });
    expect(await engine.sql('SELECT count(*) FROM "Note"')).toEqual(['1']);
    expect((await ask(SCHEMA, { batch: [] })).json).toEqual({ batchResult: [] });
  });

  it('a JSON query runs in an interactive transaction at the public address', async () => {
    const { hash } = uploadOf(SCHEMA);
    const started = await engine.ask(`/${VERSION}/${hash}/transaction/start`, { max_wait: 1000, timeout: 10_000 });
    const { id } = started.json;
    expect(started.json).toEqual({
      id,
      'data-proxy': { endpoint: `http://localhost:1234/${VERSION}/${hash}/itx/${id}` },
    });
    expect((await ask(SCHEMA, create(7), engine.database, `/itx/${id}`)).json.data).toBeDefined();
    expect((await engine.ask(`/${VERSION}/${hash}/itx/${id}/commit`, '')).status).toBe(200);
    const late = await ask(SCHEMA, create(8), engine.database, `/itx/${id}`);
    expect(late.json.errors[0].user_facing_error).toMatchObject({ error_code: 'P2028' });
    expect(await engine.ask(`/${VERSION}/${hash}/itx/${id}/rollback`, '')).toMatchObject({
      status: 409,
      json: { is_panic: false, error_code: 'P2028', message: expect.stringContaining('committed') },
    });
    expect(await engine.sql('SELECT id FROM "Note"')).toEqual(['7']);
  });

  it('the reply to a JSON query has queries and traces if the request asks for them', async () => {
    const path = `/${VERSION}/${uploadOf(SCHEMA).hash}/graphql`;
    const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
    const headers = { 'x-capture-telemetry': 'tracing,query', traceparent };
    const { extensions } = (await engine.ask(path, findMany({ text: 'traced' }), { headers })).json;
    // The spans are those of the Prisma 6 engine: all others are below the span of the query.
    const spans: { id: string; parentId: string; name: string }[] = extensions.traces;
    const [whole] = spans.filter(({ name }) => name === 'prisma:engine:query');
    expect(spans.filter(({ parentId }) => parentId === whole?.id).map(({ name }) => name)).toEqual([
      'prisma:engine:connection',
      'prisma:engine:db_query',
      'prisma:engine:serialize',
    ]);
    expect(spans).toHaveLength(4);
    expect(extensions.logs[0].attributes.query).toContain(`/* traceparent='${traceparent}' */`);
  });
});

describe('full-text search', () => {
  const found = {
    modelName: 'Note',
    action: 'findMany',
    query: {
      arguments: {
        where: { text: { search: 'dormouse & sleeps' } },
        orderBy: { _relevance: { fields: ['text'], search: 'dormouse', sort: 'desc' } },
      },
      selection: { id: true },
    },
  };
  const upto = (features: string): string => SCHEMA.replace('["relationJoins", "metrics"]', features);

  it.each(['["fullTextSearch"]', '["fullTextSearchPostgres"]', '["metrics", "FullTextSearch"]', '"fullTextSearch"'])(
    'full-text search is switched on by previewFeatures = %s',
    async (features) => {
      await engine.sql(`INSERT INTO "Note" (id, body) VALUES (1, 'the dormouse sleeps'), (2, 'the mouse sleeps')`);
      const schema = upto(features);
      expect(await upload(schema)).toMatchObject({ status: 200 });
      for (let use = 0; use < 3; use++) {
        expect((await ask(schema, found)).json).toEqual({ data: { findManyNote: [{ id: 1 }] } });
      }
    },
  );

  it('full-text search is refused without its preview feature', async () => {
    const schema = upto('["relationJoins"]');
    await upload(schema);
    expect((await ask(schema, found)).json.errors).toMatchObject([{ user_facing_error: { error_code: 'P2009' } }]);
  });
});
