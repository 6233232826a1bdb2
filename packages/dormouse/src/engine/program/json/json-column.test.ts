import type { ResultNode } from '@prisma/client-engine-runtime';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { NeedsRuntime } from '../needs-runtime.ts';
import { JsonColumn } from './json-column.ts';
import { JsonWriter } from './json-writer.ts';

type ObjectNode = Extract<ResultNode, { type: 'object' }>;
const field = (dbName: string, type: string, arity = 'scalar'): ResultNode =>
  ({ type: 'field', dbName, fieldType: { type, arity } }) as ResultNode;
const object = (fields: Record<string, ResultNode>, serializedName: string | null, skipNulls = false): ObjectNode => ({
  type: 'object',
  fields,
  serializedName,
  skipNulls,
});

const NODE = object(
  {
    title: field('the "title"', 'string'),
    count: field('count', 'int'),
    rate: field('rate', 'float'),
    on: field('on', 'boolean'),
    at: field('at', 'datetime'),
    tags: field('tags', 'string', 'list'),
    doc: field('doc', 'object'),
    child: object({ id: field('id', 'int') }, 'child'),
    children: object({ id: field('id', 'int') }, 'children', true),
  },
  'x',
);
const out = new JsonWriter();
function write(column: JsonColumn, json: string): string {
  const bytes = Buffer.from(`[${json}]`);
  try {
    column.write(out, bytes, 1, bytes.length - 1);
    return Buffer.from(out.take()).toString();
  } finally {
    out.reset();
  }
}

const word = fc.string({ unit: 'binary', maxLength: 20 }).map((text) => text.toWellFormed());
const child = fc.record({
  id: fc.integer(),
  more: fc.anything({ maxDepth: 1, withNullPrototype: false }).map(() => 1),
});
const nullable = <T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | null> => fc.option(arbitrary, { nil: null });
const record = fc.record({
  rate: nullable(fc.double({ noNaN: true, noDefaultInfinity: true })),
  count: nullable(fc.integer()),
  'the "title"': nullable(word),
  extra: fc.jsonValue({ maxDepth: 2 }),
  on: nullable(fc.boolean()),
  at: nullable(fc.constantFrom('2024-01-02T03:04:05.678+00:00', '2024-01-02T03:04:05', '2024-01-02')),
  doc: nullable(fc.jsonValue({ maxDepth: 2 })),
  tags: nullable(fc.array(word, { maxLength: 3 })),
  child: nullable(child),
  children: nullable(fc.array(nullable(child), { maxLength: 3 })),
});

/** A record as the plan maps it, computed by plain JavaScript. */
function expected(value: Record<string, never>): unknown {
  const at: Record<string, string> = {
    '2024-01-02T03:04:05': '2024-01-02T03:04:05Z',
    '2024-01-02': '2024-01-02T00:00:00Z',
  };
  const id = (each: { id: number } | null): unknown => (each === null ? null : { id: each.id });
  return {
    title: value['the "title"'],
    count: value.count,
    rate: value.rate,
    on: value.on,
    at: value.at === null ? null : { $type: 'DateTime', value: at[value.at as unknown as string] ?? value.at },
    tags: value.tags ?? [],
    doc: value.doc === null ? null : { $type: 'Json', value: JSON.stringify(value.doc) },
    child: id(value.child as never),
    children:
      value.children === null
        ? null
        : ((value.children as unknown as unknown[] | undefined) ?? [])
            .filter((each) => each !== null)
            .map((each) => id(each as never)),
  };
}

describe('a JSON column of related records', () => {
  it('a JSON column of related records is written as the plan maps the column, whatever the order and the spacing of its members', () => {
    const column = new JsonColumn(NODE, {});
    fc.assert(
      fc.property(fc.array(record, { maxLength: 4 }), fc.boolean(), fc.boolean(), (records, spaced, reversed) => {
        const given = records.map((each) => (reversed ? Object.fromEntries(Object.entries(each).reverse()) : each));
        const json = JSON.stringify(given, null, spaced ? 1 : undefined);
        expect(write(column, json)).toBe(JSON.stringify(records.map((each) => expected(each as never))));
      }),
    );
  });

  it('a JSON column of related records may hold one record or null instead of a list', () => {
    const column = new JsonColumn(object({ id: field('id', 'int') }, 'x'), {});
    expect(write(column, '{"id": 7}')).toBe('{"id":7}');
    expect(write(column, 'null')).toBe('null');
  });

  it.each([
    ['a missing member', '{"other": 7}'],
    ['null in a list', '[null]'],
    ['a number instead of a record', '7'],
    ['a record in a string', '"{}"'],
    ['a value of another type', '{"id": "x"}'],
    ['a whole number that JavaScript cannot represent', '{"id": "9007199254740993"}'],
  ])('a JSON column with %s is left to the runtime', (_name, json) => {
    const column = new JsonColumn(object({ id: field('id', 'int') }, 'x'), {});
    expect(() => write(column, json)).toThrow(NeedsRuntime);
  });

  it('a JSON column of related records may have names that are written with escapes', () => {
    const column = new JsonColumn(object({ name: field('é"', 'string') }, 'x'), {});
    expect(write(column, '{"\\u00e9\\"": "\\u00e9\\/"}')).toBe('{"name":"é/"}');
  });
});

describe('a long JSON column', () => {
  /** Writes a column in slices; gives the text and the number of slices. */
  function writeInSlices(json: string): { readonly text: string; readonly slices: number } {
    const bytes = Buffer.from(`[${json}]`);
    const slices = new JsonColumn(NODE, {}).writing(out, bytes, 1, bytes.length - 1);
    try {
      for (let count = 1; ; count++) {
        if (slices.next().done === true) return { text: Buffer.from(out.take()).toString(), slices: count };
      }
    } finally {
      out.reset();
    }
  }
  const record = (children: number, filler: number): object => ({
    'the "title"': 'a "b" \\ [{'.repeat(filler),
    count: 1,
    rate: 2.5,
    on: true,
    at: '2024-01-02T03:04:05.678+00:00',
    tags: ['x', '[', '}'],
    doc: { deep: [[{}]] },
    child: { id: 5 },
    children: Array.from({ length: children }, (_, id) => (id % 7 === 0 ? null : { id, unknown: 'x'.repeat(filler) })),
  });

  it.each<[string, object]>([
    ['of many short records', Array.from({ length: 5000 }, () => record(2, 1))],
    ['of records with many children', Array.from({ length: 5 }, () => record(5000, 3))],
    ['of records with long texts', Array.from({ length: 4 }, () => record(3, 20_000))],
    ['that is one record', record(20_000, 3)],
  ])('a long JSON column %s is written in slices, with the same text as in one slice', (_name, value) => {
    const json = JSON.stringify(value);
    const { text, slices } = writeInSlices(json);
    expect(text).toBe(write(new JsonColumn(NODE, {}), json));
    expect(slices).toBeGreaterThan(2);
  });

  it('a long JSON column is scanned once, however deep its records are nested', () => {
    // One scan per level of nesting would take two hundred times as long.
    const levels = 200;
    let node = object({ text: field('text', 'string') }, 'in');
    for (let level = 0; level < levels; level++) node = object({ in: node }, 'in');
    const filler = 'y'.repeat(400_000);
    const json = `${'{"in":'.repeat(levels)}{"text":"${filler}"}${'}'.repeat(levels)}`;
    const bytes = Buffer.from(`[${json}]`);
    let reads = 0;
    const counted = new Proxy(bytes, {
      get(target, key) {
        if (typeof key === 'string' && /^\d+$/.test(key)) reads++;
        const value = Reflect.get(target, key, target) as unknown;
        return typeof value === 'function' ? value.bind(target) : value;
      },
    });
    const slices = new JsonColumn(node, {}).writing(out, counted, 1, bytes.length - 1);
    try {
      while (slices.next().done !== true);
      expect(Buffer.from(out.take()).toString()).toBe(json);
    } finally {
      out.reset();
    }
    expect(reads).toBeLessThan(bytes.length * 6);
  });
});
