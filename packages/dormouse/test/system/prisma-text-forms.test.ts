import { beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type Loose } from '../support/clients.ts';
import { plain } from '../support/plain.ts';
import { failure, useTargets } from '../support/use-targets.ts';

// Whatever the settings of a session are, a value is read correctly or refused with the name of its column. A value
// never becomes null or a different date.

const targets = useTargets({ kind: 'platform' });

const STYLES = ['ISO', 'SQL', 'Postgres', 'German'];
const ORDERS = ['DMY', 'MDY', 'YMD'];
/** Time zones, and whether Postgres writes the name of the zone instead of its offset in styles other than ISO. */
const ZONES: Readonly<Record<string, boolean>> = {
  UTC: false,
  'Asia/Kathmandu': false,
  'Europe/Berlin': true,
  'UTC+3': true,
};

const instant = new Date('2024-02-03T23:04:05.678Z');
const early = new Date('0044-12-11T01:02:03.004Z');
const SAMPLES = [
  {
    text: 'é 漢字 🦫',
    bytes: Buffer.from([0, 1, 92, 39, 120, 127, 128, 255]),
    bytesList: [Buffer.from('\\x41'), Buffer.from([0, 255]), Buffer.alloc(0)],
    timestamp: instant,
    timestamp6: early,
    timestamptz: instant,
    date: new Date('2024-02-03T00:00:00Z'),
    dates: [new Date('2024-05-04T00:00:00Z'), new Date('1999-12-31T00:00:00Z')],
    time: new Date('1970-01-01T12:34:56.789Z'),
    timetz: new Date('1970-01-01T12:34:56.789Z'),
    timestamps: [instant, early],
    timestamptzs: [instant],
    float: 0.1,
    decimal: '1.50',
    ints: [1, 2],
  },
  { bytes: Buffer.alloc(0), date: new Date('0001-01-02T00:00:00Z'), timestamp: new Date('9999-12-31T23:59:59.999Z') },
  { bytes: Buffer.from('plain text'), bytesList: [Buffer.from('a"b')] },
];

/** Applies settings in one of several ways. */
type Set = (tx: Loose, settings: Readonly<Record<string, string>>) => Promise<unknown>;
const WAYS: Readonly<Record<string, Set>> = {
  'SET LOCAL': async (tx, settings) => {
    for (const [name, value] of Object.entries(settings)) await tx.$executeRawUnsafe(`SET LOCAL ${name} = '${value}'`);
  },
  set_config: async (tx, settings) => {
    for (const [name, value] of Object.entries(settings))
      await tx.$queryRaw`SELECT set_config(${name}, ${value}, true)`;
  },
  'a function': async (tx, settings) => {
    for (const [name, value] of Object.entries(settings)) await tx.$queryRaw`SELECT sets(${name}, ${value})`;
  },
};

describe.each(CLIENT_VERSIONS)('values read through Prisma %i', (version) => {
  const ASKS: Readonly<Record<string, (prisma: Loose) => Promise<unknown>>> = {
    model: (prisma) => prisma.sample.findMany({ orderBy: { id: 'asc' } }),
    raw: (prisma) => prisma.$queryRawUnsafe('SELECT * FROM samples ORDER BY id'),
    'a relation': (prisma) =>
      prisma.user.findMany({ relationLoadStrategy: 'query', include: { posts: true, profile: true } }),
    'a relation as JSON': (prisma) =>
      prisma.user.findMany({ relationLoadStrategy: 'join', include: { posts: true, profile: true } }),
    'groups and extremes': (prisma) =>
      prisma.sample.aggregate({ _max: { date: true, timestamp: true }, _min: { timestamp6: true } }),
    'a write': (prisma) =>
      prisma.sample.update({ where: { id: '00000000-0000-0000-0000-000000000000' }, data: { int: 1 } }),
  };
  const truths: Record<string, unknown> = {};
  let clients: Readonly<Record<string, Loose>>;
  beforeAll(async () => {
    const { open } = targets.of(version);
    // Queries of a client with logs are executed by Prisma's runtime.
    clients = { program: open(), runtime: open({ log: [{ emit: 'event', level: 'query' }] }) };
    const prisma = clients.program as Loose;
    clients.runtime?.$on('query', () => {});
    await prisma.$executeRawUnsafe(
      'CREATE FUNCTION sets(name text, value text) RETURNS text LANGUAGE sql AS $$SELECT set_config(name, value, true)$$',
    );
    let id = 0;
    for (const data of SAMPLES)
      await prisma.sample.create({ data: { ...data, id: `00000000-0000-0000-0000-00000000000${id++}` } });
    await prisma.user.create({
      data: {
        email: 'a@example.com',
        posts: { create: { title: 'T', writtenAt: instant } },
        profile: { create: { bio: 'b', avatar: Buffer.from([0, 92, 255]) } },
      },
    });
    await ASKS['a write']?.(prisma);
    for (const [name, ask] of Object.entries(ASKS)) truths[name] = plain(await ask(prisma));
  });

  const cases = STYLES.flatMap((style) =>
    ORDERS.flatMap((order) => Object.entries(ZONES).map(([zone, named]) => ({ style, order, zone, named }))),
  );

  it.each(['program', 'runtime'])(
    'values are the same in every text form of dates and bytes, when read by the %s',
    async (client) => {
      const prisma = clients[client] as Loose;
      let refused = 0;
      for (const [index, { style, order, zone, named }] of cases.entries()) {
        const settings = {
          DateStyle: `${style}, ${order}`,
          TimeZone: zone,
          bytea_output: index % 2 === 0 ? 'escape' : 'hex',
          IntervalStyle: 'iso_8601',
          extra_float_digits: '3',
          xmlbinary: 'hex',
        };
        const way = Object.values(WAYS)[index % 3] as Set;
        await prisma.$transaction(
          async (tx: Loose) => {
            await way(tx, settings);
            for (const [name, ask] of Object.entries(ASKS)) {
              const what = `${name} with ${JSON.stringify(settings)}`;
              // The name of a time zone does not give its offset.
              if (named && style !== 'ISO' && /^(model|raw|a write|a relation)$/.test(name)) {
                const error = await failure(ask(tx));
                expect([error.code, error.message], what).toEqual([
                  name === 'raw' ? 'P2010' : 'P2023',
                  expect.stringMatching(/column "(timestamptzs?|written_at)": .*DateStyle/),
                ]);
                refused++;
              } else if (client === 'runtime' && name === 'a relation as JSON' && settings.bytea_output === 'escape') {
                // Prisma's runtime reads bytes within JSON in the hex format only.
                expect((await failure(ask(tx))).message, what).toMatch(/column 'avatar'.*bytea_output/);
              } else {
                expect(plain(await ask(tx)), what).toEqual(truths[name]);
              }
            }
          },
          { timeout: 60_000, maxWait: 60_000 },
        );
      }
      expect(refused).toBe(3 * 3 * 2 * 4);
    },
  );

  it('values are refused with the name of their column if the statement itself changes their text form', async () => {
    const prisma = clients.program as Loose;
    const text = (style: string, date: string): string =>
      `SELECT set_config('DateStyle', '${style}', true) AS style, '${date}'::date AS day`;
    const day = async (style: string, date: string): Promise<unknown> =>
      plain((await prisma.$queryRawUnsafe(text(style, date)))[0].day);
    for (const style of ['German, DMY', 'SQL, DMY', 'SQL, MDY', 'Postgres, DMY', 'Postgres, MDY']) {
      expect(await day(style, '2024-02-23')).toBe('2024-02-23T00:00:00.000Z');
      expect(await day(style, '2024-05-05')).toBe('2024-05-05T00:00:00.000Z');
    }
    expect(await day('German', '2024-02-03')).toBe('2024-02-03T00:00:00.000Z');
    const error = await failure(prisma.$queryRawUnsafe(text('SQL, DMY', '2024-02-03')));
    expect([error.code, error.message]).toEqual([
      'P2010',
      expect.stringMatching(/column "day": .*03\/02\/2024.*DateStyle/),
    ]);
  });

  it('values are never read in an encoding other than UTF-8', async () => {
    const prisma = clients.program as Loose;
    for (const text of [`SET client_encoding = 'LATIN1'`, `SELECT set_config('client_encoding', 'LATIN1', false)`]) {
      const error = await failure(prisma.$executeRawUnsafe(text));
      expect(error.message, text).toMatch(/client_encoding/);
      // The next query uses another session.
      expect(await prisma.$queryRaw`SELECT 'é' AS value`).toEqual([{ value: 'é' }]);
    }
    const inTransaction = prisma.$transaction(async (tx: Loose) => {
      await tx.user.create({ data: { email: 'never@example.com' } });
      await tx.$executeRawUnsafe(`SET LOCAL client_encoding = 'LATIN1'`);
      return tx.user.create({ data: { email: 'é@example.com' } });
    });
    expect((await failure(inTransaction)).message).toMatch(/client_encoding/);
    expect(await prisma.user.count({ where: { email: { contains: 'é' } } })).toBe(0);
    expect(await prisma.user.count({ where: { email: 'never@example.com' } })).toBe(0);
    const once = await failure(
      prisma.$queryRawUnsafe(`SELECT set_config('client_encoding', 'LATIN1', true), 'é' AS value`),
    );
    expect(once.message).toMatch(/client_encoding/);
  });
});
