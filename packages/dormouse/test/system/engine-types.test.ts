import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type BareEngine, rawPlan, startBareEngine } from '../support/bare-engine.ts';

/** A server whose time zone has half hours, which Prisma must not see. */
let engine: BareEngine;
beforeAll(async () => {
  engine = await startBareEngine({ settings: { TimeZone: 'Asia/Kolkata' } });
  await engine.sql(`CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN small AS int CHECK (VALUE < 10)`);
});
afterAll(() => engine?.close());

/** Returns the reply of a raw query to an expression: Prisma's name of the type, and the value as JSON. */
async function readBack(expression: string): Promise<[string, unknown]> {
  const { status, json } = await engine.ask('/query', rawPlan(`SELECT ${expression} AS v`));
  expect(status, JSON.stringify(json)).toBe(200);
  return [json.data.types[0], json.data.rows[0][0]];
}

describe('values of every type', () => {
  it.each<[expression: string, type: string, value: unknown]>([
    ['1::int2', 'int', 1],
    ['(-2147483648)::int4', 'int', -2147483648],
    ['9223372036854775807::int8', 'bigint', '9223372036854775807'],
    ['4294967295::oid', 'bigint', '4294967295'],
    ['0.1::float4', 'float', 0.1],
    ['1e300::float8', 'double', 1e300],
    // JSON has no NaN.
    [`'NaN'::float8`, 'double', null],
    ['123.4500::numeric', 'decimal', '123.4500'],
    [`'NaN'::numeric`, 'decimal', 'NaN'],
    [`'$1,234.50'::money`, 'decimal', '1234.50'],
    [`'-5'::money`, 'decimal', '-5.00'],
    ['true', 'bool', true],
    [`'ü🙂'::text`, 'string', 'ü🙂'],
    [`'x'::char(3)`, 'string', 'x  '],
    [`'x'::name`, 'string', 'x'],
    [`'x'::"char"`, 'char', 'x'],
    [`'{"a": [1]}'::json`, 'json', { a: [1] }],
    [`'null'::jsonb`, 'json', null],
    [`'7b7f3c4e-4a3e-4c0e-9b0a-0a8b1c2d3e4f'::uuid`, 'uuid', '7b7f3c4e-4a3e-4c0e-9b0a-0a8b1c2d3e4f'],
    [`'2020-01-02'::date`, 'date', '2020-01-02'],
    [`'0044-03-15 BC'::date`, 'date', '-000043-03-15'],
    [`'12000-01-01'::date`, 'date', '+012000-01-01'],
    [`'infinity'::date`, 'date', 'infinity'],
    [`'12:34:56.789'::time`, 'time', '12:34:56.789'],
    [`'12:34:56+02'::timetz`, 'time', '12:34:56'],
    [`'2020-01-02 03:04:05.123456'::timestamp`, 'datetime', '2020-01-02T03:04:05.123456+00:00'],
    [`'2020-01-02 03:04:05.123456+00'::timestamptz`, 'datetime', '2020-01-02T03:04:05.123456+00:00'],
    [`'1900-01-01 00:00:00+00'::timestamptz`, 'datetime', '1900-01-01T00:00:00+00:00'],
    [`'-infinity'::timestamptz`, 'datetime', '-infinity'],
    [`'\\x00ff10'::bytea`, 'bytes', 'AP8Q'],
    [`''::bytea`, 'bytes', ''],
    [`B'101'::bit(3)`, 'string', '101'],
    [`'10.0.0.1'::inet`, 'string', '10.0.0.1'],
    [`'10.0.0.0/8'::cidr`, 'string', '10.0.0.0/8'],
    [`'<a/>'::xml`, 'string', '<a/>'],
    [`'ok'::mood`, 'string', 'ok'],
    ['7::small', 'int', 7],
    ['NULL::int', 'int', null],
    ['ARRAY[1,NULL,3]', 'int-array', [1, null, 3]],
    [`'{}'::int[]`, 'int-array', []],
    [
      `ARRAY[['a','b'],['c',NULL]]`,
      'string-array',
      [
        ['a', 'b'],
        ['c', null],
      ],
    ],
    [`'[0:1]={1,2}'::int[]`, 'int-array', [1, 2]],
    ['ARRAY[9223372036854775807]', 'bigint-array', ['9223372036854775807']],
    ['ARRAY[1.5]::float8[]', 'double-array', [1.5]],
    ['ARRAY[1.50]', 'decimal-array', ['1.50']],
    ['ARRAY[true,false,NULL]', 'bool-array', [true, false, null]],
    [`ARRAY['a', '', NULL, 'NULL', 'a"b\\c,{} ü']`, 'string-array', ['a', '', null, 'NULL', 'a"b\\c,{} ü']],
    [`ARRAY['{"a": "x,y"}']::jsonb[]`, 'json-array', [{ a: 'x,y' }]],
    [`ARRAY['\\x00ff']::bytea[]`, 'bytes-array', ['AP8=']],
    [`ARRAY['2020-01-02 03:04:05+00']::timestamptz[]`, 'datetime-array', ['2020-01-02T03:04:05+00:00']],
    [`ARRAY['2020-01-02']::date[]`, 'date-array', ['2020-01-02']],
    [`ARRAY['12:34:56']::time[]`, 'time-array', ['12:34:56']],
    [`ARRAY['10.0.0.1']::inet[]`, 'string-array', ['10.0.0.1']],
    [`ARRAY['a']::"char"[]`, 'char-array', ['a']],
  ])(
    'the value of %s is returned with its type and in the form that Prisma expects',
    async (expression, type, value) => {
      expect(await readBack(expression)).toEqual([type, value]);
    },
  );

  it('a value of a type that Prisma cannot read is refused, and the error names the type', async () => {
    const { status, json } = await engine.ask('/query', rawPlan('SELECT point(1, 2)'));
    expect(status).toBe(400);
    expect(json).toMatchObject({ code: 'P2010', error: expect.stringContaining(`type 'point'`) });
  });
});

describe('arguments of every type', () => {
  it.each<[cast: string, argument: unknown, argType: object, text: string]>([
    ['int', 5, { scalarType: 'int' }, '5'],
    ['int8', '9007199254740993', { scalarType: 'bigint' }, '9007199254740993'],
    ['float8', 1.5e300, { scalarType: 'float' }, '1.5e+300'],
    ['numeric', '1.10', { scalarType: 'decimal' }, '1.10'],
    ['bool', true, { scalarType: 'boolean' }, 'true'],
    ['text', `a'b"\\ ü🙂`, { scalarType: 'string' }, `a'b"\\ ü🙂`],
    ['jsonb', '{"a":1}', { scalarType: 'json' }, '{"a": 1}'],
    ['mood', 'ok', { scalarType: 'enum' }, 'ok'],
    ['bytea', 'aGk=', { scalarType: 'bytes' }, '\\x6869'],
    // Points in time, converted by the server's time zone and by Dormouse's.
    ['timestamp', '2020-01-02T03:04:05.678Z', { scalarType: 'datetime' }, '2020-01-02 03:04:05.678'],
    ['timestamptz', '2020-01-02T03:04:05.678Z', { scalarType: 'datetime' }, '2020-01-02 08:34:05.678+05:30'],
    ['date', '2020-01-02T23:04:05.678Z', { scalarType: 'datetime', dbType: 'DATE' }, '2020-01-02'],
    ['time', '2020-01-02T03:04:05.678Z', { scalarType: 'datetime', dbType: 'TIME' }, '03:04:05.678'],
    ['timestamp', '-000043-03-15T00:00:00Z', { scalarType: 'datetime' }, '0044-03-15 00:00:00 BC'],
    ['int[]', [1, null, -3], { scalarType: 'int', arity: 'list' }, '{1,NULL,-3}'],
    [
      'text[]',
      ['a', '', null, 'NULL', 'b"\\,{}'],
      { scalarType: 'string', arity: 'list' },
      '{a,"",NULL,"NULL","b\\"\\\\,{}"}',
    ],
    ['bytea[]', ['aGk=', 'AA=='], { scalarType: 'bytes', arity: 'list' }, '{"\\\\x6869","\\\\x00"}'],
    ['timestamp[]', ['2020-01-02T03:04:05Z'], { scalarType: 'datetime', arity: 'list' }, '{"2020-01-02 03:04:05"}'],
    ['int[]', [], { scalarType: 'int', arity: 'list' }, '{}'],
  ])('an argument of type %s with the value %j reaches Postgres unchanged', async (cast, argument, argType, text) => {
    const plan = {
      type: 'query',
      args: {
        type: 'rawSql',
        sql: `SELECT $1::${cast}::text AS v`,
        args: [argument],
        argTypes: [{ arity: 'scalar', ...argType }],
      },
    };
    const { json } = await engine.ask('/query', { operation: 'queryRaw', plan, params: {} });
    expect(json.data?.rows, JSON.stringify(json)).toEqual([[text]]);
  });
});
