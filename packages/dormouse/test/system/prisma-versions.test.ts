import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rawPlan } from '../support/bare-engine.ts';
import { type Loose, schemaText } from '../support/clients.ts';
import type { DatabaseUrls } from '../support/platform.ts';
import { USES } from '../support/shop.ts';
import { startTargets, type Targets } from '../support/target.ts';

// A client is served by the protocol that it uses, and never refused for its version number.
let targets: Targets;
let base: string;
let key: string;
beforeAll(async () => {
  targets = await startTargets({ kind: 'platform', versions: [6] });
  const { http, apiKey } = reach(targets.of(6).database as DatabaseUrls);
  base = http;
  key = apiKey;
});
afterAll(() => targets?.stop());

function reach({ prismaUrl }: DatabaseUrls): { http: string; apiKey: string } {
  const url = new URL(prismaUrl);
  return { http: `http://${url.host}`, apiKey: url.searchParams.get('api_key') ?? '' };
}

interface Asked {
  readonly status: number;
  readonly text: string;
  readonly json: Loose;
}

async function ask(method: string, path: string, body?: string, headers: Record<string, string> = {}): Promise<Asked> {
  const reply = await fetch(base + path, {
    method,
    headers: { authorization: `Bearer ${key}`, ...headers },
    ...(body === undefined ? {} : { body }),
  });
  const text = await reply.text();
  return { status: reply.status, text, json: text.startsWith('{') ? JSON.parse(text) : undefined };
}

const VERSIONS = ['6.0.0', '6.5.0', '6.19.3', '7.0.0', '9.9.9', '5.22.0', '6.20.0-dev.1', '0.0.0', 'local'];

describe.each(VERSIONS)('a client that calls itself %s', (version) => {
  const headers = { 'prisma-engine-hash': version, 'user-agent': `prisma-client/${version}` };

  it('a client of any version number is served by the protocol of Prisma 6', async () => {
    // Each version has a schema of its own, so that the platform does not know the schema yet.
    const schema = Buffer.from(`// ${version}\n${schemaText(6)}`).toString('base64');
    const hash = createHash('sha256').update(schema).digest('hex');
    const at = `/${version}/${hash}`;
    const count = JSON.stringify({
      modelName: 'Account',
      action: 'aggregate',
      query: { arguments: {}, selection: { _count: { arguments: {}, selection: { _all: true } } } },
    });
    const unknown = await ask('POST', `${at}/graphql`, count, headers);
    expect(unknown).toMatchObject({ status: 404, json: { EngineNotStarted: { reason: 'SchemaMissing' } } });
    expect(await ask('PUT', `${at}/schema`, schema, headers)).toMatchObject({ status: 200, text: hash });
    const counted = { data: { aggregateAccount: { _count: { _all: expect.any(Number) } } } };
    for (let use = 0; use < USES; use++) {
      expect(await ask('POST', `${at}/graphql`, count, headers)).toMatchObject({ status: 200, json: counted });
      const { json } = await ask('POST', `${at}/transaction/start`, '{"max_wait":2000,"timeout":5000}', headers);
      expect(new URL(json['data-proxy'].endpoint).pathname).toBe(`${at}/itx/${json.id}`);
      expect(await ask('POST', `${at}/itx/${json.id}/graphql`, count, headers)).toMatchObject({
        status: 200,
        json: counted,
      });
      expect(await ask('POST', `${at}/itx/${json.id}/commit`, undefined, headers)).toMatchObject({ status: 200 });
    }
  });

  it('a client of any version number is served by the protocol of Prisma 7', async () => {
    for (let use = 0; use < USES; use++) {
      expect(await ask('POST', '/query', JSON.stringify(rawPlan('SELECT 1 AS one')), headers)).toMatchObject({
        status: 200,
      });
    }
    expect(await ask('GET', '/connection-info', undefined, headers)).toMatchObject({
      status: 200,
      json: { provider: 'postgres' },
    });
  });

  it('a request that cannot be served is refused with one clear error', async () => {
    for (let use = 0; use < USES; use++) {
      const plan = { plan: { type: 'teleport', args: [] }, params: {} };
      const refused = await ask('POST', '/query', JSON.stringify(plan), headers);
      expect(refused).toMatchObject({ status: 400, json: { message: expect.stringMatching(/teleport/) } });
      const schema = Buffer.from(
        'datasource db {\n provider = "postgresql"\n}\nmodel A {\n id Int @id @quantum\n}\n',
      ).toString('base64');
      const hash = createHash('sha256').update(schema).digest('hex');
      const rejected = await ask('PUT', `/${version}/${hash}/schema`, schema, headers);
      expect(rejected.status).toBe(400);
      expect(rejected.text).toMatch(/quantum/);
      const path = await ask('POST', `/${version}/v9/teleport`, '{}', headers);
      expect(path.status).toBe(404);
    }
  });
});
