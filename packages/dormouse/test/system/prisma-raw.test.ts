import { beforeAll, describe, expect, it } from 'vitest';
import { CLIENT_VERSIONS, type ClientVersion, type Loose } from '../support/clients.ts';
import { plain } from '../support/plain.ts';
import { useBothTargets } from '../support/use-targets.ts';

// Raw queries with columns and parameters of every type get the same replies as from the vendor's engine.

const TYPES = `
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN label_text AS text;
CREATE TYPE pair AS (a int, b text);
CREATE TYPE colour AS ENUM ('red', 'deep "blue"');`;

const { ours, theirs } = useBothTargets(TYPES);

/**
 * Values of each type, in the text form of Postgres. Each is selected alone, with NULL, and as an element of a list.
 */
const VALUES: Readonly<Record<string, readonly string[]>> = {
  int2: ['0', '-32768', '32767'],
  int4: ['0', '-2147483648', '2147483647'],
  int8: ['0', '-9223372036854775808', '9223372036854775807', '9007199254740993'],
  float4: ['0', '-0', '1.1', 'NaN', 'Infinity', '-Infinity', '3.4e38', '1e-40'],
  float8: [
    '0',
    '-0',
    '0.1',
    'NaN',
    'Infinity',
    '-Infinity',
    '1.7976931348623157e308',
    '5e-324',
    '1e21',
    '123456789.125',
  ],
  numeric: ['0', '0.00', '1.10', '-123456789012345678901234567890.123456789012345678901234567890', '1e-30', '1e40'],
  'numeric(10,2)': ['1', '-0.5'],
  money: ['1.5', '0'],
  bool: ['t', 'f'],
  text: ['', 'plain', 'é 漢字 🦫', 'a"b\\c', 'null', '{x}', ' '],
  varchar: ['v'],
  'char(4)': ['ab', ''],
  bytea: ['', '\\x00ff', '\\x5c'],
  date: ['2024-02-29', '0001-01-01', '9999-12-31'],
  time: ['00:00', '23:59:59.999999', '03:04:05.5'],
  timestamp: ['2024-01-02 03:04:05.678901', '1969-12-31 23:59:59.999'],
  timestamptz: ['2024-01-02 03:04:05.678901+02', '1900-01-01 00:00+00'],
  interval: ['1 year 2 mons 3 days 04:05:06.789', '-1 day', '0', '1000 hours'],
  uuid: ['A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'],
  json: ['{"b": 1, "a": [null, 1.0, "x"]}', '[]', '"text"', 'null', '12345678901234567890', '1.50'],
  jsonb: ['{"b": 1, "a": [null, 1.0, "x"]}', '[]', '"text"', 'null', '12345678901234567890', '1.50'],
  jsonpath: ['$.a[*]'],
  xml: ['<a b="c">&amp;</a>', ''],
  inet: ['10.0.0.1', '::1/64', '192.168.1.0/24'],
  cidr: ['10.0.0.0/8', '::1/128'],
  macaddr: ['08:00:2b:01:02:03'],
  macaddr8: ['08:00:2b:01:02:03:04:05'],
  bit: ['1', '0'],
  'bit(5)': ['10101'],
  varbit: ['', '1', '10101'],
  regclass: ['accounts'],
  regtype: ['int4'],
  xid: ['7'],
  xid8: ['9007199254740993'],
  pg_lsn: ['16/B374D848'],
  tsvector: ["'a' 'b':2"],
  tsquery: ['a & !b'],
  point: ['(1.5,-2)'],
  line: ['{1,2,3}'],
  lseg: ['[(0,0),(1,1)]'],
  box: ['(1,1),(0,0)'],
  path: ['((0,0),(1,1))'],
  polygon: ['((0,0),(1,1),(2,0))'],
  circle: ['<(1,2),3>'],
  int4range: ['[1,5)', 'empty', '(,)'],
  int8range: ['[1,9007199254740993)'],
  numrange: ['[1.5,2.50]'],
  tsrange: ['[2024-01-01,2024-01-02)'],
  tstzrange: ['[2024-01-01 00:00+00,)'],
  daterange: ['[2024-01-01,2024-01-31]'],
  int4multirange: ['{[1,3),[5,7)}', '{}'],
  positive: ['5'],
  label_text: ['l'],
  pair: ['(1,"x y")'],
  colour: ['red', 'deep "blue"'],
  refcursor: ['c'],
  txid_snapshot: ['10:20:10,14'],
};

/** Values that the vendor's engine cannot read or reads wrongly, and the value that the platform gives. */
interface Beyond {
  readonly sql: string;
  readonly is: unknown;
  /** The version whose engine cannot read the value; both if undefined. */
  readonly only?: ClientVersion;
}

const BEYOND: readonly Beyond[] = [
  { sql: `'-1234567.89'::money`, is: '-1234567.89' },
  { sql: `ARRAY['-1234567.89']::money[]`, is: ['-1234567.89'] },
  { sql: `'a'::"char"`, is: 'a' },
  { sql: `ARRAY['a', NULL]::"char"[]`, is: ['a', null] },
  { sql: `'n'::name`, is: 'n', only: 6 },
  { sql: `ARRAY['n']::name[]`, is: ['n'] },
  { sql: `'NaN'::numeric`, is: 'NaN', only: 6 },
  { sql: `ARRAY['Infinity', '-Infinity']::numeric[]`, is: ['Infinity', '-Infinity'], only: 6 },
  { sql: `'0044-03-15 BC'::date`, is: '-000043-03-15T00:00:00.000Z' },
  { sql: `'10000-01-01'::date`, is: '+010000-01-01T00:00:00.000Z', only: 6 },
  { sql: `'infinity'::date`, is: 'Invalid Date', only: 6 },
  { sql: `'24:00'::time`, is: '1970-01-02T00:00:00.000Z', only: 6 },
  { sql: `ARRAY['00:00:00.5-11:30']::timetz[]`, is: ['1970-01-01T00:00:00.500Z'] },
  { sql: `'0044-03-15 00:00 BC'::timestamp`, is: '-000043-03-15T00:00:00.000Z' },
  { sql: `'12345-06-07 00:00'::timestamp`, is: '+012345-06-07T00:00:00.000Z' },
  { sql: `ARRAY['-infinity']::timestamp[]`, is: ['Invalid Date'], only: 6 },
  { sql: `'0044-03-15 00:00+00 BC'::timestamptz`, is: '-000043-03-15T00:00:00.000Z' },
  { sql: `'12345-06-07 00:00+00'::timestamptz`, is: '+012345-06-07T00:00:00.000Z' },
  { sql: `'infinity'::timestamptz`, is: 'Invalid Date', only: 6 },
  { sql: `'4294967295'::oid`, is: '4294967295n', only: 7 },
  { sql: `ARRAY['0']::oid[]`, is: ['0n'], only: 7 },
];

/** Types that the platform reads differently from the vendor's engine, and why. */
interface Differs {
  readonly types: readonly string[];
  readonly reason: string;
  readonly only?: ClientVersion;
}

const OFFSET = 'an instant says that it is in UTC, so that no session reads it in another zone';

/** Parameters of every kind that an application can pass, and the types that they are read as. */
const PARAMETERS: readonly (readonly [
  types: readonly string[],
  value: (Prisma: Loose) => unknown,
  differs?: Differs,
])[] = [
  [['int', 'int8', 'float8', 'numeric', 'text', 'money', 'int2', 'oid'], () => 42],
  [['int', 'int8', 'float8', 'numeric'], () => -2147483648],
  [['int8', 'float8', 'numeric', 'text', 'int'], () => 9007199254740991],
  [['float4', 'float8', 'numeric', 'text', 'int'], () => 0.1],
  [['float8', 'numeric', 'text'], () => 1e21, { types: ['text'], reason: 'as JavaScript writes it', only: 6 }],
  [['float8', 'numeric'], () => 5e-324, { types: ['numeric'], reason: 'as JavaScript writes it', only: 6 }],
  [['float8', 'text'], () => Number.NaN],
  [['float8'], () => Number.POSITIVE_INFINITY],
  [['float8'], () => -0],
  [['int8', 'numeric', 'text', 'int'], () => 9223372036854775807n],
  [
    ['numeric', 'text', 'int8'],
    () => 123456789012345678901234567890n,
    { types: ['numeric', 'text', 'int8'], reason: 'not refused before Postgres has seen it', only: 6 },
  ],
  [['numeric', 'text', 'float8', 'money'], (Prisma) => new Prisma.Decimal('-12345678901234567890.0123456789')],
  [['numeric', 'numeric(10,2)', 'text'], (Prisma) => new Prisma.Decimal('1.10')],
  [['bool', 'text', 'int'], () => true],
  [
    [
      'text',
      'varchar',
      'char(4)',
      'name',
      'bytea',
      'json',
      'jsonb',
      'int',
      'bool',
      'date',
      'uuid',
      'inet',
      'xml',
      'interval',
    ],
    () => 'x',
  ],
  [['int', 'numeric', 'bool', 'text', 'jsonb', 'bit(1)', 'float8'], () => '1'],
  [['date', 'timestamp', 'timestamptz', 'text', 'time'], () => '2024-02-29T12:34:56.789+02:00'],
  [['interval', 'text'], () => '1 day 02:00'],
  [['inet', 'cidr', 'text'], () => '10.0.0.0/8'],
  [['int4range', 'numrange', 'text'], () => '[1,5)'],
  [['text', 'colour'], () => 'red'],
  [['text'], () => '\u2028 "é" \\ 🦫 \n\t\u0001'],
  [['text', 'int', 'jsonb', 'bytea', 'int[]', 'timestamptz'], () => null],
  [
    ['timestamp', 'timestamptz', 'date', 'time', 'timetz', 'text'],
    () => new Date('2024-02-29T23:59:59.999Z'),
    { types: ['text'], reason: OFFSET },
  ],
  [['timestamp', 'timestamptz', 'date'], () => new Date('0001-01-01T00:00:00.000Z')],
  [['timestamp', 'timestamptz'], () => new Date('1969-12-31T23:59:59.001Z')],
  [['bytea', 'text'], () => new Uint8Array([0, 1, 92, 255])],
  [
    ['bytea'],
    () => Buffer.from('buffer'),
    { types: ['bytea'], reason: 'that engine sends the memory around the bytes', only: 6 },
  ],
  [['bytea'], () => new Uint8Array(0)],
  [['json', 'jsonb', 'text'], () => ({ a: [1, null, { b: 'é"' }], c: 1.5 })],
  [['jsonb', 'text'], () => ({})],
  [['int[]', 'int8[]', 'float8[]', 'numeric[]', 'text[]', 'text'], () => [1, -2, 3]],
  [['float8[]', 'numeric[]'], () => [0.5, 1]],
  [['int8[]', 'numeric[]', 'text[]'], () => [1n, 9223372036854775807n]],
  [['numeric[]', 'text[]'], (Prisma) => [new Prisma.Decimal('1.50')]],
  [['bool[]', 'text[]'], () => [true, false]],
  [['text[]', 'varchar[]', 'jsonb[]'], () => ['', 'a,b', '{"c"}', 'NULL', "it's", '\\', 'é']],
  [['text[]', 'int[]'], () => ['1', null, '2']],
  [['int[]', 'text[]', 'jsonb[]'], () => []],
  [
    ['timestamptz[]', 'timestamp[]', 'text[]'],
    () => [new Date('2024-01-01T00:00:00.001Z')],
    { types: ['text[]'], reason: OFFSET },
  ],
  [['bytea[]'], () => [new Uint8Array([1, 255])]],
  [['jsonb[]', 'json[]', 'text[]'], () => [{ a: 1 }, { b: [2] }]],
  [
    ['int[]', 'text[]', 'jsonb'],
    () => [
      [1, 2],
      [3, 4],
    ],
  ],
  [['jsonb', 'text'], (Prisma) => Prisma.JsonNull],
  [['jsonb', 'text'], (Prisma) => Prisma.DbNull],
  [['uuid', 'text'], () => 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'],
  [['uuid[]'], () => ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']],
];

const quoted = (text: string): string => `'${text.replaceAll("'", "''")}'`;

/** Replaces values that JSON cannot represent by a text, so that they can be compared. */
function shown(value: unknown): unknown {
  if (typeof value === 'number' && !Number.isFinite(value)) return `number ${value}`;
  if (Object.is(value, -0)) return 'number -0';
  if (value instanceof Date && Number.isNaN(value.getTime())) return 'Invalid Date';
  if (Array.isArray(value)) return value.map(shown);
  return plain(value);
}

/** The result of a query as a client sees it: rows, or the failure. */
async function outcome(ask: Promise<unknown>): Promise<unknown> {
  try {
    const rows = (await ask) as Record<string, unknown>[];
    return rows.map((row) => Object.fromEntries(Object.entries(row).map(([name, value]) => [name, shown(value)])));
  } catch (thrown) {
    const { code, message, meta } = thrown as Loose;
    return { code, message: String(message).trim().split('\n').at(-1), meta };
  }
}

/** A count, or the failure as a client sees it. */
async function settled(ask: Promise<unknown>): Promise<unknown> {
  return ask.catch(seen);
}

async function failureOf(ask: Promise<unknown>): Promise<unknown> {
  return ask.then((value) => ({ value }), seen);
}

function seen(thrown: Loose): unknown {
  const { code, message, meta } = thrown;
  return { code, message: String(message).trim().split('\n').at(-1), meta: JSON.parse(JSON.stringify(meta ?? null)) };
}

describe.each(CLIENT_VERSIONS)('raw queries through Prisma %i', (version) => {
  let our: Loose;
  let their: Loose;
  beforeAll(() => {
    our = ours.of(version).open({ errorFormat: 'minimal' });
    their = theirs.of(version).open({ errorFormat: 'minimal' });
  });

  const both = (sql: string, ...parameters: unknown[]): Promise<[unknown, unknown]> =>
    Promise.all([outcome(our.$queryRawUnsafe(sql, ...parameters)), outcome(their.$queryRawUnsafe(sql, ...parameters))]);

  it.each(Object.entries(VALUES))(
    'columns of type %s and lists of it have the values of the vendor’s engine',
    async (type, values) => {
      const columns = values.map((value, at) => `${quoted(value)}::${type} AS c${at}`).join(', ');
      const [mine, expected] = await both(`SELECT ${columns}, NULL::${type} AS nil`);
      expect(mine).toEqual(expected);
      const list = `ARRAY[${values.map(quoted).join(', ')}, NULL]::${type}[]`;
      const [lists, expectedLists] = await both(
        `SELECT ${list} AS list, ARRAY[]::${type}[] AS none, NULL::${type}[] AS nil`,
      );
      expect(lists).toEqual(expectedLists);
    },
  );

  it('columns that the vendor’s engine cannot read correctly have their true values', async () => {
    for (const { sql, is, only } of BEYOND) {
      const [mine, expected] = await both(`SELECT ${sql} AS value`);
      expect(mine, sql).toEqual([{ value: is }]);
      if (only === undefined || only === version) expect(expected, sql).not.toEqual(mine);
      else expect(expected, sql).toEqual(mine);
    }
  });

  it('parameters of every kind are read as by the vendor’s engine', async () => {
    const ask = (client: Loose, { Prisma }: Loose, value: unknown, type: string): Promise<unknown> =>
      // The client itself may refuse a value before it sends a request.
      outcome((async () => client.$queryRaw`SELECT ${value}::${Prisma.raw(type)}::text AS value`)());
    for (const [types, make, differs] of PARAMETERS) {
      await Promise.all(
        types.map(async (type) => {
          const [mine, expected] = await Promise.all([
            ask(our, ours.of(version).module, make(ours.of(version).module.Prisma), type),
            ask(their, theirs.of(version).module, make(theirs.of(version).module.Prisma), type),
          ]);
          const different = differs?.types.includes(type) && (differs.only ?? version) === version;
          if (different) expect(mine, `${make}::${type}`).not.toEqual(expected);
          else expect(mine, `${make}::${type}`).toEqual(expected);
        }),
      );
    }
  });

  it('parameters come back with the values that were passed', async () => {
    const { Prisma } = ours.of(version).module;
    const given = {
      big: 9223372036854775807n,
      decimal: new Prisma.Decimal('-12345678901234567890.0123456789'),
      bytes: Buffer.from('buffer'),
      when: new Date('2024-02-29T23:59:59.999Z'),
      json: { a: [1, null, { b: 'é"' }] },
      float: 0.1,
    };
    const [row] = await our.$queryRaw`SELECT ${given.big}::int8 AS big, ${given.decimal}::numeric AS decimal,
      ${given.bytes}::bytea AS bytes, ${given.when}::timestamptz AS when, ${given.json}::jsonb AS json, ${given.float}::float8 AS float`;
    expect(plain(row)).toEqual({ ...plain(given), bytes: `0x${given.bytes.toString('hex')}` });
  });

  it('raw texts of several statements without parameters are answered as by the vendor’s engine', async () => {
    const texts = [
      'CREATE TABLE several (id int); INSERT INTO several VALUES (1), (2)',
      "UPDATE several SET id = id + 1; -- one; two\nDELETE FROM several WHERE id = 99 OR ';' = ''",
      'INSERT INTO several VALUES (7); SELECT 1/0',
      'SELECT 1; SELECT 2;',
      'INSERT INTO several VALUES (8);',
      "INSERT INTO several SELECT 9 WHERE ';' <> 'x'",
      'SELEC 1; SELECT 2',
    ];
    for (const text of texts) {
      const [mine, expected] = await Promise.all([
        settled(our.$executeRawUnsafe(text)),
        settled(their.$executeRawUnsafe(text)),
      ]);
      expect(mine, text).toEqual(expected);
    }
    const inTransaction = (prisma: Loose): Promise<unknown> =>
      prisma.$transaction(async (tx: Loose) => {
        // The first statement is sent together with BEGIN.
        await tx.$executeRawUnsafe('INSERT INTO several VALUES (20); INSERT INTO several VALUES (21)');
        return tx.$queryRaw`SELECT count(*)::int AS n, now() = statement_timestamp() AS first FROM several`;
      });
    expect(await inTransaction(our)).toEqual(await inTransaction(their));
    // This text is handled in a thread, as all large texts are.
    const large = `INSERT INTO several VALUES (30); ${'-- '.padEnd(80_000, 'x')}\nDELETE FROM several WHERE id = 30`;
    await our.$executeRawUnsafe(large);
    const rows = 'SELECT array_agg(id ORDER BY id) AS ids FROM several';
    const [mine, expected] = await both(rows);
    expect(mine).toEqual(expected);
    expect(mine).toEqual([{ ids: [2, 3, 8, 9, 20, 21] }]);
  });

  it.each(['DEALLOCATE ALL', 'DEALLOCATE ALL; SELECT 1', 'DO $$BEGIN EXECUTE $q$DEALLOCATE ALL$q$; END$$'])(
    '%s does not disturb the other queries of its transaction',
    async (text) => {
      const found = await our.$transaction(async (tx: Loose) => {
        const query = (): Promise<unknown> => tx.$queryRaw`SELECT count(*)::int AS n FROM accounts`;
        // The query is prepared at its second use.
        for (let i = 0; i < 3; i++) await query();
        await tx.account.count();
        await tx.account.count();
        await tx.$executeRawUnsafe(text);
        return [await query(), await tx.account.count()];
      });
      expect(found).toEqual([[{ n: 0 }], 0]);
    },
  );

  it('a failing EXECUTE in a raw query keeps all prepared statements, and its error is passed on unchanged', async () => {
    const before = await failureOf(our.$executeRawUnsafe('EXECUTE nobody'));
    expect(before).toMatchObject({ code: 'P2010', meta: expect.anything() });
    expect(JSON.stringify(before)).toContain('26000');
  });
});
