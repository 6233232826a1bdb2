import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type ClientVersion, type Loose, requireOf } from '../support/clients.ts';
import { emptyTables } from '../support/library.ts';
import { USES } from '../support/shop.ts';
import { startTargets, type Targets } from '../support/target.ts';

// The telemetry that a client gets of its queries: log events, spans, and comments in the SQL itself.
let targets: Targets;
beforeAll(async () => {
  targets = await startTargets({ kind: 'platform' });
});
afterAll(() => targets?.stop());

const NAME_OF_TARGET = { 6: 'quaint::connector::metrics', 7: 'RemoteExecutor' };
const PREFIX = { 6: 'prisma:engine:', 7: 'prisma:accelerate:' };

describe.each(CLIENT_VERSIONS)("log: ['query'] of Prisma %i", (version) => {
  let prisma: Loose;
  const heard: Loose[] = [];
  beforeAll(async () => {
    prisma = targets.of(version).open({ log: [{ emit: 'event', level: 'query' }] });
    prisma.$on('query', (event: Loose) => heard.push(event));
    await emptyTables(targets.of(version).open());
  });
  beforeEach(() => heard.splice(0));
  const statements = (): string[] => heard.map((event) => event.query);

  it('each query is logged with parameters, duration, time and target, at every use', async () => {
    for (let use = 0; use < USES; use++) {
      heard.splice(0);
      const before = Date.now();
      await prisma.account.findMany({ where: { balance: { gt: 1000 + use }, owner: `owner ${use}` } });
      const after = Date.now();
      expect(heard).toHaveLength(1);
      const [event] = heard;
      expect(event.query).toMatch(/^SELECT .*"accounts".*\$1.*\$2/s);
      const params = JSON.parse(event.params);
      expect(params).toContain(1000 + use);
      expect(params).toContain(`owner ${use}`);
      expect(event.target).toBe(NAME_OF_TARGET[version]);
      expect(event.duration).toEqual(expect.any(Number));
      expect(event.duration).toBeGreaterThanOrEqual(0);
      // The server uses the clock of this machine; rounding can change the time by a millisecond.
      expect(event.timestamp.getTime()).toBeGreaterThanOrEqual(before - 1);
      expect(event.timestamp.getTime()).toBeLessThanOrEqual(after + 1);
    }
  });

  it('the statements of writes, batches, transactions and raw queries are logged', async () => {
    for (let use = 0; use < USES; use++) {
      const email = `log-${use}@example.com`;
      heard.splice(0);
      await prisma.user.create({ data: { email, posts: { create: { title: 'T' } } } });
      expect(statements().join('\n')).toMatch(/INSERT INTO .*users.*INSERT INTO .*posts/s);
      heard.splice(0);
      await Promise.all([1, 2, 3].map((id) => prisma.user.findUnique({ where: { id } })));
      expect(statements().filter((sql) => /SELECT .*users/s.test(sql))).toHaveLength(1);
      heard.splice(0);
      await prisma.$transaction([prisma.user.count(), prisma.post.updateMany({ data: { views: use } })]);
      expect(statements().join('\n')).toMatch(/SELECT COUNT.*UPDATE .*posts/s);
      heard.splice(0);
      await prisma.$transaction((tx: Loose) => tx.post.count());
      expect(statements().join('\n')).toMatch(/SELECT COUNT/);
      heard.splice(0);
      await prisma.$queryRaw`SELECT ${use}::int AS use`;
      expect(heard.map((event) => [event.query.trim(), JSON.parse(event.params)])).toEqual([
        ['SELECT $1::int AS use', [use]],
      ]);
    }
  });

  if (version === 6)
    it('statements that ran before a failure are logged by Prisma 6; Prisma 7 reads no logs of a failed reply', async () => {
      for (let use = 0; use < USES; use++) {
        heard.splice(0);
        const data = { email: `fails-${use}@example.com`, posts: { create: { title: 'x'.repeat(61) } } };
        await expect(prisma.user.create({ data })).rejects.toMatchObject({ code: 'P2000' });
        expect(statements().join('\n')).toMatch(/INSERT INTO .*users/);
      }
    });

  it('a client without query logs gets no log events and the same results', async () => {
    const silent = targets.of(version).open();
    for (let use = 0; use < USES; use++) {
      expect(await silent.user.findMany({ orderBy: { id: 'asc' } })).toEqual(
        await prisma.user.findMany({ orderBy: { id: 'asc' } }),
      );
    }
  });
});

interface Tracing {
  readonly client: Loose;
  finished(): Loose[];
  /** Runs `work` in a span of the application and returns the ids of that span. */
  inSpan<T>(work: () => Promise<T>): Promise<{ readonly result: T; readonly traceId: string; readonly spanId: string }>;
  stop(): Promise<void>;
}

/** Sets up tracing as an application does: one provider, one exporter, the vendor's instrumentation. */
function startTracing(version: ClientVersion, open: () => Loose): Tracing {
  const load = requireOf(version);
  const { trace, context } = load('@opentelemetry/api');
  const { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } = load('@opentelemetry/sdk-trace-base');
  const { AsyncLocalStorageContextManager } = load('@opentelemetry/context-async-hooks');
  const { PrismaInstrumentation } = load('@prisma/instrumentation');
  const exporter = new InMemorySpanExporter();
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] });
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable());
  trace.setGlobalTracerProvider(provider);
  const instrumentation = new PrismaInstrumentation();
  instrumentation.setTracerProvider(provider);
  instrumentation.enable();
  return {
    client: open(),
    finished: () => exporter.getFinishedSpans(),
    inSpan: (work) =>
      trace.getTracer('application').startActiveSpan('work', async (span: Loose) => {
        exporter.reset();
        const { traceId, spanId } = span.spanContext();
        try {
          return { result: await work(), traceId, spanId };
        } finally {
          span.end();
        }
      }),
    async stop() {
      instrumentation.disable();
      trace.disable();
      context.disable();
      await provider.shutdown();
    },
  };
}

describe.each(CLIENT_VERSIONS)('@prisma/instrumentation with Prisma %i', (version) => {
  let tracing: Tracing | undefined;
  afterEach(async () => {
    await tracing?.stop();
    tracing = undefined;
  });
  const start = (options: Record<string, unknown> = {}): Tracing => {
    tracing = startTracing(version, () => targets.of(version).open(options));
    return tracing;
  };

  it('the server’s spans are in the application’s trace, at every use', async () => {
    const { client, finished, inSpan } = start();
    await client.account.count();
    for (let use = 0; use < USES; use++) {
      const { traceId } = await inSpan(() => client.account.findMany({ where: { balance: { gt: 5000 + use } } }));
      const spans = finished();
      expect(spans.every((span) => span.spanContext().traceId === traceId)).toBe(true);
      const operation = spans.find((span) => span.name === 'prisma:client:operation');
      expect(operation.attributes).toMatchObject({ model: 'Account', method: 'findMany' });
      const ours = spans.filter((span) => span.name.startsWith(PREFIX[version]));
      const query = ours.find((span) => span.name === `${PREFIX[version]}db_query`);
      expect(ours.length).toBeGreaterThan(0);
      expect(query?.attributes).toMatchObject({
        [version === 6 ? 'db.system' : 'db.system.name']: 'postgresql',
        'db.query.text': expect.stringMatching(/SELECT .*accounts/s),
      });
      expect(query.kind).toBe(requireOf(version)('@opentelemetry/api').SpanKind.CLIENT);
      for (const { startTime, endTime } of ours) {
        expect(endTime[0] * 1e9 + endTime[1]).toBeGreaterThanOrEqual(startTime[0] * 1e9 + startTime[1]);
      }
      const ids = new Set(spans.map((span) => span.spanContext().spanId));
      for (const { parentSpanContext } of ours) expect(ids.has(parentSpanContext?.spanId)).toBe(true);
    }
  });

  it('transactions, writes and failures have spans', async () => {
    const { client, finished, inSpan } = start();
    await emptyTables(client);
    for (let use = 0; use < USES; use++) {
      await inSpan(() =>
        client.$transaction((tx: Loose) => tx.user.create({ data: { email: `span-${use}@example.com` } })),
      );
      const texts = (): string =>
        finished()
          .map((span) => span.attributes['db.query.text'])
          .join('\n');
      expect(texts()).toMatch(/INSERT INTO .*users/);
      const failed = await inSpan(() =>
        client.user.create({ data: { email: `span-${use}@example.com` } }).catch((error: Loose) => error.code),
      );
      expect(failed.result).toBe('P2002');
      expect(finished().some((span) => span.name === 'prisma:client:operation')).toBe(true);
    }
  });

  it('a traced client also gets its log events, each once', async () => {
    const { client, inSpan } = start({ log: [{ emit: 'event', level: 'query' }] });
    const heard: Loose[] = [];
    client.$on('query', (event: Loose) => heard.push(event));
    for (let use = 0; use < USES; use++) {
      heard.splice(0);
      await inSpan(() => client.account.findMany({ where: { balance: 70 + use } }));
      expect(heard.filter((event) => /accounts/.test(event.query))).toHaveLength(1);
    }
  });

  // Prisma 7 sends its trace by a comment plugin of its own.
  if (version === 6)
    it('the application’s trace reaches Postgres as a comment', async () => {
      const { client, inSpan } = start();
      // A column whose default is the statement that wrote it.
      await client.$executeRawUnsafe('ALTER TABLE users ALTER COLUMN name SET DEFAULT current_query()');
      for (let use = 0; use < USES; use++) {
        const { result: user, traceId } = await inSpan(() =>
          client.user.create({ data: { email: `traced-${use}@example.com` } }),
        );
        expect((user as Loose).name).toMatch(
          new RegExp(`^INSERT INTO .*users.* /\\* traceparent='00-${traceId}-[0-9a-f]{16}-01' \\*/$`, 's'),
        );
        // No comment is added to raw SQL of the application, as with the engine of Prisma 6.
        const { result } = await inSpan(() => client.$queryRaw`SELECT current_query() AS sql`);
        expect(result).toEqual([{ sql: 'SELECT current_query() AS sql' }]);
      }
      await client.$executeRawUnsafe('ALTER TABLE users ALTER COLUMN name DROP DEFAULT');
    });
});

describe('comments of Prisma 7', () => {
  it('comments of Prisma 7 become comments of the SQL, at every use', async () => {
    const target = targets.of(7);
    const { queryTags, withQueryTags } = requireOf(7)('@prisma/sqlcommenter-query-tags');
    const client = target.open({
      comments: [
        queryTags(),
        ({ query }: Loose) => ({ action: query.action, model: query.modelName, app: "it's 100% */ ok" }),
      ],
    });
    const plain = target.open();
    // A column whose default is the statement that wrote it.
    await plain.$executeRawUnsafe('ALTER TABLE accounts ALTER COLUMN owner SET DEFAULT current_query()');
    await emptyTables(plain);
    for (let use = 0; use < USES; use++) {
      const [{ sql }] = await withQueryTags(
        { route: `/page/${use}` },
        () => client.$queryRaw`SELECT current_query() AS sql`,
      );
      const comment = /\/\*(.*)\*\/$/s.exec(sql)?.[1];
      expect(comment?.split(',').sort()).toEqual([
        `action='queryRaw'`,
        `app='it\\'s%20100%25%20*%2F%20ok'`,
        `route='%2Fpage%2F${use}'`,
      ]);
      await withQueryTags(
        { route: `/write/${use}` },
        () => client.$executeRaw`INSERT INTO accounts (id) VALUES (${use + 1}::int)`,
      );
      const account = await plain.account.findUnique({ where: { id: use + 1 } });
      expect(account.owner).toMatch(new RegExp(`^INSERT INTO accounts .*/\\*.*route='%2Fwrite%2F${use}'.*\\*/$`, 's'));
      // Without a tag the earlier plan runs without a comment.
      expect(await plain.$queryRaw`SELECT current_query() AS sql`).toEqual([{ sql: 'SELECT current_query() AS sql' }]);
    }
  });

  it('comments of Prisma 7 reach the statements of models and nested writes', async () => {
    const target = targets.of(7);
    const heard: string[] = [];
    const client = target.open({
      log: [{ emit: 'event', level: 'query' }],
      comments: [({ query }: Loose) => ({ model: query.modelName, action: query.action })],
    });
    client.$on('query', (event: Loose) => heard.push(event.query));
    await emptyTables(target.open());
    for (let use = 0; use < USES; use++) {
      heard.splice(0);
      await client.user.create({ data: { email: `c-${use}@example.com`, posts: { create: { title: 'T' } } } });
      const own = heard.filter((sql) => /INSERT INTO/.test(sql));
      expect(own).toHaveLength(2);
      for (const sql of own) expect(sql).toMatch(/\/\*action='createOne',model='User'\*\/$/);
      heard.splice(0);
      await client.user.findMany({ where: { posts: { some: { title: 'T' } } }, take: use + 1 });
      expect(heard).toEqual([expect.stringMatching(/\/\*action='findMany',model='User'\*\/$/)]);
    }
  });
});
