import type { PrismaValue, QueryPlanNode } from '@prisma/client-engine-runtime';
import type { ArgScalarType, ArgType } from '@prisma/driver-adapter-utils';
import { QueryRefused } from '../compiler/index.ts';
import { isObject } from '../request/index.ts';

/** The tags by which Prisma's clients write parameters of types that JSON does not have. */
const TAGGED_TYPES: ReadonlyMap<unknown, ArgScalarType> = new Map<unknown, ArgScalarType>([
  ['bigint', 'bigint'],
  ['date', 'datetime'],
  ['decimal', 'decimal'],
  ['bytes', 'bytes'],
]);

/** The plan of a raw query of the JSON protocol, or undefined for any other query. Throws {@link QueryRefused}. */
export function rawQueryPlan(query: { readonly action: string; readonly query: unknown }): QueryPlanNode | undefined {
  const { action } = query;
  if (action !== 'queryRaw' && action !== 'executeRaw') return undefined;
  const given = isObject(query.query) && isObject(query.query.arguments) ? query.query.arguments : {};
  if (given.query === undefined) {
    throw refused(action, 'query', 'P2012', '`query`: A value is required but not set', {
      kind: 'RequiredArgumentMissing',
      inputTypes: [{ kind: 'scalar', name: 'String' }],
    });
  }
  if (typeof given.query !== 'string') {
    const message = 'Invalid argument type. `query` should be of any of the following types: `String`';
    throw refused(action, 'query', 'P2009', message, {
      kind: 'InvalidArgumentType',
      argument: { name: 'query', typeNames: ['String'] },
      inferredType: typeof given.query === 'number' ? 'Int' : 'Object',
    });
  }
  const parameters = parseParameters(action, given.parameters);
  return {
    type: action === 'queryRaw' ? 'query' : 'execute',
    args: {
      type: 'rawSql',
      sql: given.query,
      args: parameters.map(parameterValue),
      argTypes: parameters.map(parameterType),
    },
  };
}

/** Whether a plan is that of a raw query. */
export function isRaw(plan: QueryPlanNode): boolean {
  return (plan.type === 'query' || plan.type === 'execute') && plan.args.type === 'rawSql';
}

function parseParameters(action: string, given: unknown): unknown[] {
  if (given === undefined || given === null) return [];
  let parsed: unknown = given;
  if (typeof given === 'string') {
    try {
      parsed = JSON.parse(given);
    } catch (cause) {
      throw notParameters(action, (cause as Error).message);
    }
  }
  if (!Array.isArray(parsed)) throw notParameters(action, 'it is not an array');
  return parsed;
}

function notParameters(action: string, underlyingError: string): QueryRefused {
  const message = `Invalid argument value. The parameters are not a valid \`JSON String\`. Underlying error: ${underlyingError}`;
  return refused(action, 'parameters', 'P2009', message, {
    kind: 'InvalidArgumentValue',
    argument: { name: 'parameters', typeNames: ['JSON String'] },
    underlyingError,
  });
}

/** An error as the compiler tells it of other queries: the client makes its own message from the `meta`. */
function refused(action: string, name: string, code: 'P2009' | 'P2012', message: string, meta: object): QueryRefused {
  return new QueryRefused({ code, message, meta: { ...meta, argumentPath: [name], selectionPath: [action] } });
}

function parameterValue(parameter: unknown): PrismaValue {
  if (Array.isArray(parameter)) return parameter.map(parameterValue);
  if (!isObject(parameter)) return parameter as PrismaValue;
  return 'prisma__value' in parameter ? String(parameter.prisma__value) : JSON.stringify(parameter);
}

function parameterType(parameter: unknown): ArgType {
  return Array.isArray(parameter)
    ? { scalarType: parameter.length > 0 ? scalarType(parameter[0]) : 'unknown', arity: 'list' }
    : { scalarType: scalarType(parameter), arity: 'scalar' };
}

function scalarType(parameter: unknown): ArgScalarType {
  if (typeof parameter === 'number') return 'decimal';
  if (typeof parameter === 'string') return 'string';
  return (isObject(parameter) ? TAGGED_TYPES.get(parameter.prisma__type) : undefined) ?? 'unknown';
}
