import type { FieldType, PrismaValue, QueryPlanNode, ResultNode } from '@prisma/client-engine-runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type PlanStatements, PrismaRuntime } from '../../prisma-runtime/prisma-runtime.ts';
import { columnCodec } from '../../statements/column-types.ts';
import { NeedsRuntime } from '../needs-runtime.ts';
import { columnWriter, isExactFraction, isExactInteger } from './column-writers.ts';
import { decodedJson } from './decoded-json.ts';
import { JsonWriter } from './json-writer.ts';

const out = new JsonWriter();
const scalar = (type: string, more: object = {}): FieldType => ({ type, arity: 'scalar', ...more }) as FieldType;

function written(typeOid: number, type: FieldType, text: string, enums = {}): string {
  const bytes = Buffer.from(`.${text}.`);
  columnWriter(typeOid, type, enums)(out, bytes, 1, bytes.length - 1);
  return Buffer.from(out.take()).toString();
}

/** The program's JSON for a decoded value. Every writer that copies bytes must agree with it. */
function decoded(typeOid: number, type: FieldType, text: string): string {
  return decodedJson(columnCodec(typeOid)?.decode(text), type, {});
}

const runtime = new PrismaRuntime();

/** The JSON of Prisma's runtime for the decoded value. Both ways of the program must agree with it. */
async function mapped(typeOid: number, fieldType: FieldType, text: string): Promise<string> {
  const expr: QueryPlanNode = { type: 'value', args: { v: columnCodec(typeOid)?.decode(text) } as PrismaValue };
  const structure: ResultNode = {
    type: 'object',
    serializedName: null,
    fields: { v: { type: 'field', dbName: 'v', fieldType } },
    skipNulls: false,
  };
  const plan: QueryPlanNode = { type: 'dataMap', args: { expr, structure, enums: {} } };
  const record = await runtime.execute(plan, {}, {} as PlanStatements, { inTransaction: true });
  return JSON.stringify((record as { v: unknown }).v);
}

describe('the bytes of a number', () => {
  const numeric = fc.oneof(
    fc.double().map(String),
    fc.integer().map(String),
    fc.bigInt({ min: -(10n ** 20n), max: 10n ** 20n }).map(String),
    fc.string({ unit: fc.constantFrom('0', '1', '9', '.', '-', 'e', '+'), maxLength: 20 }),
    fc.tuple(fc.integer(), fc.nat()).map(([whole, part]) => `${whole}.${part}`),
  );
  it('the bytes of a number are copied only if JavaScript writes the number in the same form', () => {
    let copied = 0;
    fc.assert(
      fc.property(numeric, (text) => {
        const bytes = Buffer.from(text);
        if (!isExactInteger(bytes, 0, bytes.length) && !isExactFraction(bytes, 0, bytes.length)) return;
        copied++;
        expect(JSON.stringify(Number(text))).toBe(text);
      }),
      { numRuns: 5000 },
    );
    expect(copied).toBeGreaterThan(1000);
  });

  it.each([
    '0.0000012',
    '-0.00001',
    '-0',
    '00',
    '01',
    '1.',
    '.5',
    '-.5',
    '1.50',
    '1e5',
    '1.2.3',
    '9007199254740993',
    '',
    '-',
  ])('the bytes of a number are not copied if JavaScript writes the number in another form: %s', (text) => {
    const bytes = Buffer.from(text);
    const value = Number(text);
    const copied = isExactInteger(bytes, 0, bytes.length) || isExactFraction(bytes, 0, bytes.length);
    expect(copied && JSON.stringify(value) !== text).toBe(false);
  });
});

describe('a column writer', () => {
  const cases: readonly (readonly [string, number, FieldType, fc.Arbitrary<string>])[] = [
    ['float8', 701, scalar('float'), fc.double().map((value) => String(value).replace('e', 'e'))],
    ['int8 as int', 20, scalar('int'), fc.integer().map(String)],
    ['numeric as float', 1700, scalar('float'), fc.tuple(fc.integer(), fc.nat(99_999)).map(([a, b]) => `${a}.${b}`)],
    ['numeric', 1700, scalar('decimal'), fc.tuple(fc.bigInt(), fc.nat()).map(([a, b]) => `${a}.${b}`)],
    ['int8', 20, scalar('bigint'), fc.bigInt().map(String)],
    ['text', 25, scalar('string'), fc.string({ unit: 'binary' }).map((text) => text.toWellFormed())],
    ['jsonb', 3802, scalar('json'), fc.json()],
    ['bool', 16, scalar('boolean'), fc.constantFrom('t', 'f')],
    [
      'bytea',
      17,
      scalar('bytes', { encoding: 'array' }),
      fc.uint8Array().map((bytes) => `\\x${Buffer.from(bytes).toString('hex')}`),
    ],
    [
      'timestamp',
      1114,
      scalar('datetime'),
      fc.oneof(
        fc
          .date({ noInvalidDate: true, min: new Date('0001-01-01'), max: new Date('9999-12-31') })
          .map((date) => date.toISOString().replace('T', ' ').slice(0, -1)),
        fc.constantFrom(
          'infinity',
          '-infinity',
          '0044-03-15 00:00:00 BC',
          '12000-01-01 00:00:00',
          '2024-01-02 03:04:05',
        ),
      ),
    ],
    [
      'timestamptz',
      1184,
      scalar('datetime'),
      fc.constantFrom(
        '2024-01-02 03:04:05.678+00',
        '2024-01-02 03:04:05+05:30',
        '2024-01-02 03:04:05.123456-11',
        '0044-03-15 00:00:00+00 BC',
        'infinity',
      ),
    ],
    ['date', 1082, scalar('datetime'), fc.constantFrom('2024-02-29', '12000-01-01', '0044-03-15 BC', 'infinity')],
    ['time', 1083, scalar('datetime'), fc.constantFrom('03:04:05', '23:59:59.999999', '24:00:00')],
  ];
  it.each(cases)(
    'a column writer writes %s as the program would write the decoded value, and as the runtime does',
    async (_name, typeOid, type, texts) => {
      await fc.assert(
        fc.asyncProperty(texts, async (text) => {
          let expected: string;
          try {
            expected = decoded(typeOid, type, text);
          } catch (error) {
            if (!(error instanceof NeedsRuntime)) throw error;
            expect(() => written(typeOid, type, text)).toThrow(NeedsRuntime);
            out.reset();
            return;
          }
          expect(written(typeOid, type, text)).toBe(expected);
          expect(expected).toBe(await mapped(typeOid, type, text));
        }),
      );
    },
  );

  it('a column writer writes enum values, which the writer finds by their names in the database', () => {
    const enums = { Role: { 'a"b': 'A', ab: 'B' } };
    expect(written(20_000, scalar('enum', { name: 'Role' }), 'a"b', enums)).toBe('"A"');
    expect(written(20_000, scalar('enum', { name: 'Role' }), 'ab', enums)).toBe('"B"');
    expect(() => written(20_000, scalar('enum', { name: 'Role' }), 'abc', enums)).toThrow(NeedsRuntime);
    out.reset();
  });

  it('no column writer exists for a type that Prisma cannot read', () => {
    expect(() => columnWriter(600, scalar('string'), {})).toThrow(NeedsRuntime);
  });
});
