import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DormouseError } from '../../base/index.ts';
import { guardedScope } from './guarded-scope.ts';
import { checkPlan } from './plan-shape.ts';

const param = (name: string): object => ({ prisma__type: 'param', prisma__value: { name, type: 'Int' } });
const call = (name: string, args: unknown[]): object => ({
  prisma__type: 'generatorCall',
  prisma__value: { name, args },
});
const value = (args: unknown): object => ({ type: 'value', args });
const query = {
  type: 'query',
  args: {
    type: 'templateSql',
    fragments: [{ type: 'stringChunk', chunk: 'SELECT ' }, { type: 'parameter' }],
    placeholderFormat: { prefix: '$', hasNumbering: true },
    args: [param('%1')],
    argTypes: [{ arity: 'scalar', scalarType: 'int' }],
    chunkable: true,
  },
};
const binding = (bindings: [string, object][], expr: object): object => ({
  type: 'let',
  args: { bindings: bindings.map(([name, inner]) => ({ name, expr: inner })), expr },
});
const plan = {
  type: 'dataMap',
  args: {
    expr: { type: 'unique', args: query },
    structure: {
      type: 'object',
      serializedName: null,
      skipNulls: false,
      fields: { id: { type: 'field', dbName: 'id', fieldType: { arity: 'scalar', type: 'int' } } },
    },
    enums: { Role: { A: 'a' } },
  },
};
const invalid = expect.objectContaining({ code: 'plan_invalid' });

describe('the check of a plan', () => {
  it('the check of a plan accepts a valid plan', () => {
    expect(checkPlan(plan)).toBe(plan);
  });

  it('the check of a plan refuses a plan that lacks any member', () => {
    // The runtime reads every member of a plan, except these.
    const optional = new Set(['serializedName', 'skipNulls', 'scalarType', 'type of value']);
    const walk = (node: unknown, path: readonly (string | number)[]): void => {
      if (typeof node !== 'object' || node === null) return;
      for (const key of Object.keys(node)) {
        const member = (node as Record<string, unknown>)[key];
        const inEnums = path.includes('enums') || (path.at(-1) === 'fields' && key === 'id');
        if (
          !Array.isArray(node) &&
          !optional.has(key) &&
          !inEnums &&
          !(path.at(-1) === 'prisma__value' && key === 'type')
        ) {
          const copy = structuredClone(plan) as never;
          let at: Record<string, unknown> = copy;
          for (const step of path) at = at[step] as Record<string, unknown>;
          delete at[key];
          if (key !== 'prisma__type') expect(() => checkPlan(copy), [...path, key].join('.')).toThrow(invalid);
        }
        walk(member, [...path, key]);
      }
    };
    walk(plan, []);
  });

  it('the check of a plan refuses arbitrary values with an error of its own', () => {
    fc.assert(
      fc.property(fc.anything(), (thing) => {
        try {
          checkPlan(thing);
        } catch (error) {
          expect(error).toBeInstanceOf(DormouseError);
          return;
        }
        // The few values that pass are plans of one leaf.
        expect((thing as { type: string }).type).toMatch(/^(unit|value)$/);
      }),
    );
    for (const type of ['__proto__', 'constructor', 'toString'])
      expect(() => checkPlan({ type, args: {} })).toThrow(invalid);
  });

  it('the check of a plan refuses unknown generators, and generators with unbounded arguments', () => {
    checkPlan(value(call('nanoid', [21])));
    checkPlan(value(call('now', [])));
    for (const args of [
      call('constructor', []),
      call('nanoid', [1e9]),
      call('nanoid', ['x']),
      call('now', 5 as never),
    ]) {
      expect(() => checkPlan(value(args))).toThrow(invalid);
    }
  });

  it('the check of a plan refuses a placeholder within plain data', () => {
    checkPlan(value({ a: [1, { b: null }] }));
    expect(() => checkPlan(value({ a: param('x') }))).toThrow(invalid);
    expect(() => checkPlan(value({ a: [[{ b: param('x') }]] }))).toThrow(invalid);
    expect(() => checkPlan(value(JSON.parse('{"__proto__": 1}')))).toThrow(invalid);
  });
});

it('the check of a plan converts the plan of a client before 7.5 to the form of later clients', () => {
  const tuple = (more: object): object => ({
    type: 'query',
    args: {
      type: 'templateSql',
      fragments: [
        { type: 'stringChunk', chunk: 'SELECT 1 WHERE 1 IN ' },
        { type: 'parameterTuple', ...more },
      ],
      placeholderFormat: { prefix: '$', hasNumbering: true },
      args: [[1]],
      argTypes: [{ arity: 'scalar', scalarType: 'int' }],
      chunkable: true,
    },
  });
  const plan = (error: object, join: object, parameters: object): object => ({
    type: 'validate',
    args: {
      expr: { type: 'join', args: { parent: tuple(parameters), children: [], ...join } },
      rules: [{ type: 'never' }],
      context: {},
      ...error,
    },
  });
  const today = plan(
    { errorIdentifier: 'MISSING_RECORD' },
    { canAssumeStrictEquality: false },
    { itemPrefix: '', itemSeparator: ',', itemSuffix: '' },
  );
  expect(checkPlan(plan({ error_identifier: 'MISSING_RECORD' }, {}, {}))).toMatchObject(today);
  // Members that are present are left unchanged.
  const strict = { canAssumeStrictEquality: true };
  const spaced = { itemPrefix: '(', itemSeparator: ', ', itemSuffix: ')' };
  const newer = plan({ errorIdentifier: 'MISSING_RECORD' }, strict, spaced);
  expect(checkPlan(structuredClone(newer))).toEqual(newer);
  expect(() => checkPlan(plan({}, {}, {}))).toThrow('errorIdentifier');
});

describe('the variables of a plan', () => {
  const inner = (scope: object): Record<string, unknown> => Object.create(scope);

  it('the variables of a plan are read and assigned as in plain objects, also in inner scopes', () => {
    const scope = guardedScope(checkPlan(binding([['0', query]], value(param('0')))), { '%1': 5, '%2': [1, 2] });
    expect(scope['%1']).toBe(5);
    expect(scope['0']).toBeUndefined();
    const first = inner(scope);
    first['0'] = [{ id: 1 }];
    const second = inner(first);
    expect(second['0']).toEqual([{ id: 1 }]);
    second['0'] = 7;
    expect([first['0'], second['0'], scope['0']]).toEqual([[{ id: 1 }], 7, undefined]);
  });

  it('the variables of a plan never hold a placeholder, which the runtime would replace endlessly', () => {
    const shape = checkPlan(binding([['0', query]], value(param('0'))));
    expect(() => guardedScope(shape, { '%1': param('%1') as never })).toThrow(invalid);
    expect(() => guardedScope(shape, { '%1': [[param('%1')]] as never })).toThrow(invalid);
    const scope = inner(guardedScope(shape, {}));
    expect(() => {
      scope['0'] = param('0');
    }).toThrow(invalid);
    const deeper = inner(scope);
    expect(() => {
      deeper['0'] = [param('0')];
    }).toThrow(invalid);
    expect(() => guardedScope(shape, { '0': 1 })).toThrow(invalid);
  });

  it('the variables of a plan never form a product that would fill the memory', () => {
    const product = value([call('product', [param('0'), param('%1')])]);
    const scope = inner(guardedScope(checkPlan(binding([['0', query]], product)), { '%1': Array(2000).fill(1) }));
    scope['0'] = Array(1000).fill(1);
    expect(() => {
      inner(scope)['0'] = Array(1001).fill(1);
    }).toThrow(invalid);
    const nested = value(call('product', [call('product', [param('0'), param('0')]), param('0')]));
    expect(() => guardedScope(checkPlan(nested), {})).toThrow(invalid);
  });
});
