import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import { DormouseError } from '../../base/index.ts';
import { isObject, type JsonObject } from '../request/index.ts';

/**
 * Checks a plan that a client sent, before the runtime or a program is given it. Throws `plan_invalid`.
 *
 * Invariants:
 * - After the check, every node has a known type, and every member that the runtime reads has the right shape. So the
 *   runtime and `buildProgram` never meet a value of another type.
 * - No map and no plain data has a member `__proto__`, and no placeholder hides within plain data.
 * - Plans of clients before 7.5 are converted in place to the form of later clients.
 * - The recursion is bounded, because the nesting of a request's body is bounded when the body is read.
 */
export function checkPlan(value: unknown): QueryPlanNode {
  checkNode(value, 'plan');
  return value as QueryPlanNode;
}

type Check = (value: unknown, at: string) => void;

/** Fails for an unknown type, which a client newer than this platform may send. */
function failUnknown(at: string, type: unknown): never {
  if (typeof type !== 'string') fail(at, 'a text');
  throw new DormouseError('plan_invalid', {
    message: `The query plan has a part of the type "${type.slice(0, 40)}" (${at.slice(0, 300)}), which this platform does not know. If the client is newer than the platform, upgrade the platform.`,
  });
}

function fail(at: string, expected: string): never {
  throw new DormouseError('plan_invalid', {
    message: `The body is not a query plan: ${at.slice(0, 300)} is not ${expected}.`,
  });
}

function each(elements: readonly unknown[], at: string, check: Check): void {
  for (const [index, element] of elements.entries()) check(element, `${at}[${index}]`);
}

const text: Check = (value, at) => {
  if (typeof value !== 'string') fail(at, 'a string');
};
const flag: Check = (value, at) => {
  if (typeof value !== 'boolean') fail(at, 'a boolean');
};
const count: Check = (value, at) => {
  if (typeof value !== 'number') fail(at, 'a number');
};
const nullable =
  (check: Check): Check =>
  (value, at) => {
    if (value !== null && value !== undefined) check(value, at);
  };
const listOf =
  (check: Check): Check =>
  (value, at) => {
    if (!Array.isArray(value)) fail(at, 'an array');
    each(value, at, check);
  };
const mapOf =
  (check: Check): Check =>
  (value, at) => {
    if (!isObject(value)) fail(at, 'an object');
    for (const key of Object.keys(value)) {
      if (key === '__proto__') fail(at, 'an object with plain keys');
      check(value[key], `${at}.${key}`);
    }
  };
const shape = (members: Readonly<Record<string, Check>>): Check => {
  const entries = Object.entries(members);
  return (value, at) => {
    if (!isObject(value)) fail(at, 'an object');
    for (const [name, check] of entries) check(value[name], `${at}.${name}`);
  };
};
/** An object whose member `type` determines its other members. */
const oneOf = (kinds: Readonly<Record<string, Check>>): Check => {
  const table = new Map(Object.entries(kinds));
  return (value, at) => {
    if (!isObject(value)) fail(at, 'an object');
    const check = typeof value.type === 'string' ? table.get(value.type) : undefined;
    if (check === undefined) failUnknown(`${at}.type`, value.type);
    check(value, at);
  };
};
const args = (check: Check): Check => {
  return (value, at) => check((value as JsonObject).args, `${at}.args`);
};
const nothing: Check = () => undefined;

/** The runtime's generators. The argument of `nanoid` is the number of characters that it generates. */
const GENERATORS = new Set(['now', 'uuid', 'cuid', 'ulid', 'nanoid', 'product']);
const NANOID_LENGTH_MAX = 1024;

const value: Check = (given, at) => {
  if (Array.isArray(given)) {
    each(given, at, value);
    return;
  }
  if (!isObject(given)) {
    if (given === undefined) fail(at, 'a value');
    return;
  }
  const inner = given.prisma__value;
  switch (given.prisma__type) {
    case undefined:
      // The runtime does not evaluate placeholders inside of plain objects. A placeholder there could refer to itself
      // once a variable holds the object.
      plainObject(given, at);
      return;
    case 'param':
      if (!isObject(inner)) fail(`${at}.prisma__value`, 'an object');
      text(inner.name, `${at}.prisma__value.name`);
      return;
    case 'generatorCall':
      if (!isObject(inner)) fail(`${at}.prisma__value`, 'an object');
      generator(inner, at);
      return;
    default:
      // A literal with a type, for example a date.
      if (isObject(inner)) fail(`${at}.prisma__value`, 'a literal');
  }
};

function generator(call: JsonObject, at: string): void {
  if (typeof call.name !== 'string' || !GENERATORS.has(call.name)) fail(`${at}.name`, 'a known generator');
  if (!Array.isArray(call.args)) fail(`${at}.args`, 'an array');
  each(call.args, `${at}.args`, value);
  if (call.name === 'nanoid') {
    const [length] = call.args;
    if (length !== undefined && !(typeof length === 'number' && length >= 0 && length <= NANOID_LENGTH_MAX)) {
      fail(`${at}.args[0]`, `a length of at most ${NANOID_LENGTH_MAX}`);
    }
  }
}

function plainObject(given: JsonObject, at: string): void {
  for (const key of Object.keys(given)) {
    const member = given[key];
    if (key === '__proto__') fail(at, 'an object with plain keys');
    plainMember(member, `${at}.${key}`);
  }
}

function plainMember(member: unknown, at: string): void {
  if (Array.isArray(member)) each(member, at, plainMember);
  else if (isObject(member)) {
    if (member.prisma__type !== undefined) fail(at, 'plain data');
    plainObject(member, at);
  }
}

/** An object with members that clients before 7.5 left out or named differently; `earlier` gives their values. */
const since75 =
  (earlier: (given: JsonObject) => Readonly<JsonObject>, check: Check): Check =>
  (given, at) => {
    if (isObject(given)) {
      for (const [name, value] of Object.entries(earlier(given))) {
        if (given[name] === undefined) Object.assign(given, { [name]: value });
      }
    }
    check(given, at);
  };

const argType: Check = shape({ arity: text });
const fragment: Check = oneOf({
  stringChunk: shape({ chunk: text }),
  parameter: nothing,
  parameterTuple: since75(
    () => ({ itemPrefix: '', itemSeparator: ',', itemSuffix: '' }),
    shape({ itemPrefix: text, itemSeparator: text, itemSuffix: text }),
  ),
  parameterTupleList: shape({ itemPrefix: text, itemSeparator: text, itemSuffix: text, groupSeparator: text }),
});
const databaseQuery: Check = args(
  oneOf({
    rawSql: shape({ sql: text, args: listOf(value), argTypes: listOf(argType) }),
    templateSql: shape({
      fragments: listOf(fragment),
      placeholderFormat: shape({ prefix: text, hasNumbering: flag }),
      args: listOf(value),
      argTypes: listOf(argType),
      chunkable: flag,
    }),
  }),
);

const rule: Check = oneOf({
  rowCountEq: args(count),
  rowCountNeq: args(count),
  affectedRowCountEq: args(count),
  never: nothing,
});
const fieldType: Check = shape({ type: text, arity: text });
const resultNode: Check = oneOf({
  affectedRows: nothing,
  object: shape({ fields: mapOf((given, at) => resultNode(given, at)), serializedName: nullable(text) }),
  field: shape({ dbName: text, fieldType }),
});
const fieldInitializer: Check = oneOf({ value: shape({ value }), lastInsertId: nothing });
const fieldOperation: Check = oneOf({
  set: shape({ value }),
  add: shape({ value }),
  subtract: shape({ value }),
  multiply: shape({ value }),
  divide: shape({ value }),
});
const inMemoryOperations: Check = shape({
  pagination: nullable(shape({ cursor: nullable(mapOf(value)), take: nullable(count), skip: nullable(count) })),
  distinct: nullable(listOf(text)),
  linkingFields: nullable(listOf(text)),
  nested: mapOf((given, at) => inMemoryOperations(given, at)),
});
const pair: Check = (given, at) => {
  listOf(text)(given, at);
  if ((given as unknown[]).length !== 2) fail(at, 'a pair');
};

const checkNode: Check = (given, at) => node(given, at);
const nodes = listOf(checkNode);
const node: Check = oneOf({
  value: args(value),
  seq: args(nodes),
  sum: args(nodes),
  concat: args(nodes),
  get: args(shape({ name: text })),
  let: args(shape({ bindings: listOf(shape({ name: text, expr: checkNode })), expr: checkNode })),
  getFirstNonEmpty: args(shape({ names: listOf(text) })),
  query: databaseQuery,
  execute: databaseQuery,
  reverse: args(checkNode),
  unique: args(checkNode),
  required: args(checkNode),
  transaction: args(checkNode),
  mapField: args(shape({ field: text, records: checkNode })),
  join: args(
    since75(
      () => ({ canAssumeStrictEquality: false }),
      shape({
        parent: checkNode,
        children: listOf(shape({ child: checkNode, on: listOf(pair), parentField: text, isRelationUnique: flag })),
        canAssumeStrictEquality: flag,
      }),
    ),
  ),
  dataMap: args(shape({ expr: checkNode, structure: resultNode, enums: mapOf(mapOf(text)) })),
  validate: args(
    since75(
      ({ error_identifier }) => ({ errorIdentifier: error_identifier }),
      shape({ expr: checkNode, rules: listOf(rule), errorIdentifier: text, context: mapOf(nothing) }),
    ),
  ),
  // biome-ignore lint/suspicious/noThenProperty: the plan's own name for the branch; this object is never awaited.
  if: args(shape({ value: checkNode, rule, then: checkNode, else: checkNode })),
  unit: nothing,
  diff: args(shape({ from: checkNode, to: checkNode, fields: listOf(text) })),
  initializeRecord: args(shape({ expr: checkNode, fields: mapOf(fieldInitializer) })),
  mapRecord: args(shape({ expr: checkNode, fields: mapOf(fieldOperation) })),
  process: args(shape({ expr: checkNode, operations: inMemoryOperations })),
});
