import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type ClientVersion, type Loose, requireOf } from '../support/clients.ts';
import { emptyTables } from '../support/library.ts';
import { type Heard, type Listening, type SpanTree, startListening } from '../support/listening.ts';
import type { Target, Targets } from '../support/target.ts';

// Compares the telemetry that a client gets from the platform with that of the vendor's own engine of its version: the
// query engine of Prisma 6 (in WebAssembly, over a driver adapter) and the query plan executor of Prisma 7, both over a
// plain Postgres.
let listening: Listening;
let ours: Targets;
let vendors: Targets;
beforeAll(async () => {
  listening = startListening();
  // The vendor's executor takes its tracer when it is loaded, so the application's tracer must be set up before.
  const { startTargets } = await import('../support/target.ts');
  [ours, vendors] = await Promise.all([startTargets({ kind: 'platform' }), startTargets({ kind: 'vendor' })]);
});
afterAll(async () => {
  await Promise.all([ours?.stop(), vendors?.stop()]);
  await listening?.stop();
});

interface Case {
  readonly name: string;
  readonly work: (client: Loose) => Promise<unknown>;
  /** The parts that are not compared, with the version and the reason. */
  readonly apart?: { readonly of: ClientVersion; readonly what: keyof Comparable | 'sql'; readonly why: string }[];
}

const ONE_STATEMENT: Case['apart'] = [
  { of: 6, what: 'spans', why: "the engine of 6 made a transaction of it, today's compiler a statement" },
  { of: 6, what: 'queries', why: "the engine of 6 made a transaction of it, today's compiler a statement" },
];
const OTHER_SQL: Case['apart'] = [{ of: 6, what: 'sql', why: "the engine of 6 wrote other SQL than today's compiler" }];
const NOT_CONNECTED: Case['apart'] = [
  { of: 6, what: 'spans', why: 'the engine of 6 took a connection first, and then refused' },
];
const FAILS = 'x'.repeat(61);
const itx = (work: (tx: Loose) => Promise<unknown>, options?: object) => (client: Loose) =>
  client.$transaction(work, options);

const EVERY_TYPE = {
  ...{ small: 1, int: -2, oid: 3, big: 9007199254740993n, float: 1.5, real: 0.25, decimal: '12.50', money: '-3.10' },
  ...{ bool: false, text: `it's "text" \\ ünïcödé`, char: 'c', uuid: '5b7c6a42-1f6e-4a53-9d3c-0d3f3c0a4b11' },
  ...{ inet: '10.0.0.1', bit: '101', bytes: new Uint8Array([0, 1, 255]), json: { b: [1, null, 'x'], a: { c: true } } },
  ...{
    plainJson: 'text',
    timestamp: new Date('2020-01-02T03:04:05.678Z'),
    timestamp6: new Date('2020-01-02T03:04:05Z'),
  },
  ...{ timestamptz: new Date('1999-12-31T23:59:59.900Z'), date: new Date('2020-02-29T00:00:00Z') },
  ...{ time: new Date('1970-01-01T10:20:30.400Z'), timetz: new Date('1970-01-01T10:20:30Z'), role: 'EDITOR' },
  ...{
    ints: [1, 2],
    bigs: [1n, -2n],
    floats: [1.5, 2],
    decimals: ['1.50', '2'],
    bools: [true, false],
    texts: ['a"b', ''],
  },
  ...{ bytesList: [new Uint8Array([1])], jsons: [{ a: 1 }, 2], timestamps: [new Date('2020-01-02T03:04:05.678Z')] },
  ...{ dates: [new Date('2020-02-29T00:00:00Z')], roles: ['ADMIN', 'MEMBER'] },
};

const CASES: readonly Case[] = [
  { name: 'findMany', work: (c) => c.account.findMany({ where: { balance: { gt: 10 }, owner: `it's "q"` } }) },
  { name: 'create', work: (c) => c.user.create({ data: { email: 'a@x', tags: ['t "1"'], scores: [1, 2] } }) },
  { name: 'nested create', work: (c) => c.user.create({ data: { email: 'b@x', posts: { create: { title: 'T' } } } }) },
  { name: 'include', work: (c) => c.user.findMany({ include: { posts: true }, orderBy: { id: 'asc' } }) },
  { name: 'unique violation', work: (c) => c.user.create({ data: { email: 'a@x' } }) },
  {
    name: 'unique violation of a nested create',
    work: (c) => c.user.create({ data: { email: 'a@x', posts: { create: { title: 'T' } } } }),
  },
  {
    name: 'failure of the second statement of a nested create',
    work: (c) => c.user.create({ data: { email: 'c@x', posts: { create: { title: FAILS } } } }),
  },
  { name: 'update', work: (c) => c.user.update({ where: { email: 'a@x' }, data: { name: 'n' } }) },
  { name: 'update of nothing', work: (c) => c.user.update({ where: { email: 'no' }, data: { name: 'n' } }) },
  { name: 'delete of nothing', work: (c) => c.user.delete({ where: { email: 'no' } }) },
  { name: 'upsert', work: (c) => c.user.upsert({ where: { email: 'u' }, create: { email: 'u' }, update: {} }) },
  {
    name: 'updateMany',
    work: (c) => c.user.updateMany({ data: { name: 'm' }, where: { id: { lt: 3 } } }),
    apart: ONE_STATEMENT,
  },
  {
    name: 'createMany',
    work: (c) =>
      c.account.createMany({
        data: [
          { id: 1, owner: 'o' },
          { id: 2, owner: 'p', balance: 5 },
        ],
      }),
    apart: ONE_STATEMENT,
  },
  { name: 'deleteMany', work: (c) => c.account.deleteMany({ where: { balance: { gt: 3 } } }), apart: ONE_STATEMENT },
  {
    name: 'groupBy',
    work: (c) => c.account.groupBy({ by: ['owner'], _max: { balance: true }, orderBy: { owner: 'asc' } }),
  },
  { name: 'a refused query', work: (c) => c.account.findMany({ where: { nothing: 1 } }), apart: NOT_CONNECTED },
  { name: 'aggregate', work: (c) => c.post.aggregate({ _sum: { views: true }, where: { views: { gte: 0 } } }) },
  {
    name: 'raw query',
    work: (c) => c.$queryRaw`SELECT ${1}::int, ${'x'}::text, ${null}::text, ${true}::bool, ${new Date(5)}::timestamptz,
      ${1.5}::float8, ${10n}::bigint, ${new Uint8Array([1, 2, 3])}::bytea, ${[1, 2]}::int[]`,
  },
  {
    name: 'values of every type',
    work: (c) => c.sample.create({ data: EVERY_TYPE, select: { int: true } }),
    apart: OTHER_SQL,
  },
  {
    name: 'filters of every type',
    work: (c) =>
      c.sample.findMany({
        where: {
          ...{
            int: { in: [1, 2] },
            big: { gt: 5n },
            float: 1.5,
            decimal: '12.5',
            bool: true,
            text: 'a%',
          },
          ...{ date: EVERY_TYPE.date, timestamp: { lt: EVERY_TYPE.timestamp }, uuid: EVERY_TYPE.uuid, role: 'ADMIN' },
          ...{ bytes: EVERY_TYPE.bytes, ints: { has: 3 }, texts: { hasSome: ['a', 'b'] }, json: { equals: { a: 1 } } },
        },
        select: { int: true },
        take: 3,
      }),
    apart: OTHER_SQL,
  },
  { name: 'raw query with a syntax error', work: (c) => c.$queryRawUnsafe('SELEC 1') },
  { name: 'raw statement', work: (c) => c.$executeRaw`UPDATE users SET name = ${'y'}` },
  { name: 'batch', work: (c) => c.$transaction([c.user.count(), c.user.findMany({ where: { id: 0 } })]) },
  {
    name: 'batch at an isolation level',
    work: (c) =>
      c.$transaction([c.user.count(), c.user.create({ data: { email: 's@x' } })], { isolationLevel: 'Serializable' }),
  },
  {
    name: 'batch that fails',
    work: (c) => c.$transaction([c.user.count(), c.user.create({ data: { email: 'a@x' } })]),
  },
  {
    name: 'queries that become one',
    work: (c) => Promise.all([1, 2, 3].map((id) => c.user.findUnique({ where: { id } }))),
    apart: [{ of: 6, what: 'spans', why: 'the client loses those of the engine inside of it' }],
  },
  {
    name: 'interactive transaction',
    work: itx(async (tx) => {
      await tx.user.count();
      await tx.user.create({ data: { email: 'e@x' } });
    }),
  },
  {
    name: 'interactive transaction at an isolation level',
    work: itx((tx) => tx.user.count(), { isolationLevel: 'RepeatableRead' }),
  },
  { name: 'interactive transaction of nothing', work: itx(async () => 1) },
  {
    name: 'interactive transaction with a nested create',
    work: itx((tx) => tx.user.create({ data: { email: 'f@x', posts: { create: { title: 'T' } } } })),
  },
  {
    name: 'interactive transaction that is rolled back',
    work: itx(async (tx) => {
      await tx.user.count();
      throw new Error('mine');
    }),
  },
  { name: 'interactive transaction that fails', work: itx((tx) => tx.user.create({ data: { email: 'a@x' } })) },
  {
    name: 'interactive transaction that waits too long',
    work: itx(
      async (tx) => {
        await tx.user.count();
        await new Promise((resolve) => setTimeout(resolve, 400));
        await tx.user.count();
      },
      { timeout: 200 },
    ),
    apart: [
      { of: 6, what: 'queries', why: 'the rollback by the timer reaches a client only from the engine inside of it' },
      { of: 6, what: 'spans', why: 'a client over HTTP reads none of a rollback that fails' },
    ],
  },
  {
    name: 'queries at once in an interactive transaction',
    work: itx((tx) => Promise.all([tx.user.count(), tx.post.count()])),
  },
  {
    name: 'findUniques at once in an interactive transaction',
    work: itx((tx) => Promise.all([1, 2, 3].map((id) => tx.user.findUnique({ where: { id } })))),
  },
  {
    name: 'interactive transaction whose commit fails',
    work: itx((tx) => tx.$executeRaw`INSERT INTO deferred VALUES (1), (1)`),
    apart: [
      { of: 6, what: 'queries', why: 'a client over HTTP reads none of a commit that fails' },
      { of: 6, what: 'spans', why: 'a client over HTTP reads none of a commit that fails' },
      { of: 7, what: 'outcome', why: 'the code of a failed commit is not what is compared here' },
    ],
  },
];

/**
 * Statements that the driver adapter of the vendor's engine ran by itself to begin a transaction, with their place
 * among the statements of the engine.
 */
interface Beginning {
  readonly before: number;
  readonly statements: readonly string[];
}

/**
 * An adapter begins transactions by itself, unseen by the engine. Over a connection of its own the engine begins them
 * with the same statements, and logs them before everything else on the connection. Its own suites say so (`tracing`,
 * `logging`: "Driver adapters do not issue BEGIN through the query engine").
 */
function watchedAdapter(connectionString: string, began: (level: string | undefined) => void): Loose {
  const { PrismaPg } = requireOf(6)('@prisma/adapter-pg');
  const factory = new PrismaPg({ connectionString, max: 10 });
  const connect = factory.connect.bind(factory);
  factory.connect = async (): Promise<Loose> => {
    const adapter = await connect();
    const start = adapter.startTransaction.bind(adapter);
    adapter.startTransaction = (level: string | undefined) => {
      began(level);
      return start(level);
    };
    return adapter;
  };
  return factory;
}

const NOW = /20(?:2[5-9]|[3-9]\d)-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z| UTC)/g;

/**
 * Spans that only an engine inside the application has: those of its driver adapter, and of the text that it passes to
 * the client.
 */
const LOCAL_SPANS = /^prisma:engine:(?:js:.*|response_json_serialization)$/;
/** The engine of 6 writes the trace into subqueries too. */
const INNER_TRACE = / \/\* traceparent='…' \*\/(?=\) AS "sub")/g;

function sql(text: string): string {
  return text
    .replace(/traceparent='[^']*'/g, "traceparent='…'")
    .replace(INNER_TRACE, '')
    .replace(/"t\d+"/g, '"t"');
}

function tree({ name, kind, attributes, children }: SpanTree): SpanTree {
  const text = attributes['db.query.text'];
  return {
    name,
    kind,
    attributes: { ...attributes, ...(typeof text === 'string' ? { 'db.query.text': sql(text) } : {}) },
    children: children.filter((child) => !LOCAL_SPANS.test(child.name)).map(tree),
  };
}

/** The parts in which two engines must agree: everything but times, ids and durations. */
function comparable({ outcome, spans, queries }: Heard): Comparable {
  return {
    outcome,
    spans: spans.map(tree),
    queries: queries.map(({ query, params, target }) => ({
      query: sql(query),
      params: params.replace(NOW, '<now>'),
      target,
    })),
  };
}

/** The same, with only the first word of each statement. */
function withoutSql({ outcome, spans, queries }: Comparable): Comparable {
  const word = (text: unknown): string | undefined => /^\w+/.exec(String(text))?.[0];
  const cut = (span: SpanTree): SpanTree => ({
    ...span,
    attributes: { ...span.attributes, 'db.query.text': word(span.attributes['db.query.text']) },
    children: span.children.map(cut),
  });
  return {
    outcome,
    spans: spans.map(cut),
    queries: queries.map((each) => ({ ...each, query: word(each.query) as string })),
  };
}

type Comparable = Pick<Heard, 'outcome' | 'spans' | 'queries'>;

/** Adds the statements by which the adapter began transactions, behind the span of their connection. */
function withBeginnings({ outcome, spans, queries }: Comparable, beginnings: readonly Beginning[]): Comparable {
  const left = [...beginnings];
  const put = (span: SpanTree): SpanTree => {
    const children = span.children.map(put);
    const at = children.findIndex(({ name }) => name === 'prisma:engine:connection');
    const begins = span.name === 'prisma:engine:start_transaction' || children.some(endsTransaction);
    const statements = begins && at >= 0 ? (left.shift()?.statements ?? []) : [];
    return { ...span, children: [...children.slice(0, at + 1), ...statements.map(spanOf), ...children.slice(at + 1)] };
  };
  const told = [...queries];
  for (const { before, statements } of [...beginnings].reverse()) {
    const entries = statements.map((query) => ({ query, params: '[]', target: 'quaint::connector::metrics' }));
    told.splice(before, 0, ...entries);
  }
  const result = { outcome, spans: spans.map(put), queries: told };
  // Every such statement must have found a place.
  expect(left).toEqual([]);
  return result;
}

function spanOf(text: string): SpanTree {
  const attributes = { 'db.system': 'postgresql', 'db.query.text': text };
  return { name: 'prisma:engine:db_query', kind: 2, attributes, children: [] };
}

function endsTransaction({ attributes }: SpanTree): boolean {
  return /^(?:COMMIT|ROLLBACK)$/.test(String(attributes['db.query.text']));
}

const LOG = { log: [{ emit: 'event', level: 'query' }] };

async function prepare(target: Target, options: object = {}): Promise<Loose> {
  const client = target.open({ ...LOG, ...options });
  await client.$executeRawUnsafe('CREATE TABLE IF NOT EXISTS deferred (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)');
  await emptyTables(client);
  return client;
}

describe.each(CLIENT_VERSIONS)("logs and spans of Prisma %i, beside the vendor's engine", (version: ClientVersion) => {
  let clients: { readonly ours: Loose; readonly vendor: Loose };
  let stop: () => void;
  const beginnings: Beginning[] = [];
  const vendorSpans = { mine: 0, reference: 0 };
  let heard: () => number = () => 0;
  beforeAll(async () => {
    stop = listening.instrument(version);
    const vendor = vendors.of(version);
    const began = (level: string | undefined): void => {
      const statements = level === undefined ? ['BEGIN'] : ['BEGIN', `SET TRANSACTION ISOLATION LEVEL ${level}`];
      beginnings.push({ before: heard(), statements });
    };
    const options = version === 6 ? { adapter: watchedAdapter(vendor.postgresUrl, began) } : {};
    clients = { ours: await prepare(ours.of(version)), vendor: await prepare(vendor, options) };
    heard = () => listening.heardOf(clients.vendor);
  });
  afterAll(() => stop?.());

  it.each(CASES)('logs and spans equal those of the vendor’s engine: $name', async ({ work, apart = [] }) => {
    const mine = await listening.hear(clients.ours, work);
    beginnings.splice(0);
    const reference = await listening.hear(clients.vendor, work);
    vendorSpans.mine += vendorSpansIn(mine);
    vendorSpans.reference += vendorSpansIn(reference);
    const isApart = (what: string): boolean => apart.some((each) => each.of === version && each.what === what);
    const told = isApart('sql') ? withoutSql : (heard: Comparable) => heard;
    const [got, wanted] = [told(comparable(mine)), told(withBeginnings(comparable(reference), beginnings))];
    for (const what of ['outcome', 'spans', 'queries'] as const) {
      if (!isApart(what)) expect(got[what]).toEqual(wanted[what]);
    }
    expect(mine.nested).toBe(true);
  });

  it('the reference comes from the vendor’s engine, and the platform’s logs and spans do not', () => {
    expect(vendorSpans.mine).toBe(0);
    expect(vendorSpans.reference).toBeGreaterThanOrEqual(CASES.length / 2);
  });
});

/**
 * Counts spans that only an engine in this process writes: the engine of Prisma 6 for its adapter, the executor of
 * Prisma 7 by a tracer of its own.
 */
function vendorSpansIn({ own, spans }: Heard): number {
  const names = [...own, ...namesOf(spans)];
  return names.filter((name) => /^(?:prisma:engine:js:.*|db_query|[a-z]+_transaction)$/.test(name)).length;
}

function namesOf(spans: readonly SpanTree[]): string[] {
  return spans.flatMap((span) => [span.name, ...namesOf(span.children)]);
}
