import type { PrismaValue, QueryPlanNode } from '@prisma/client-engine-runtime';
import type { ArgScalarType, ArgType } from '@prisma/driver-adapter-utils';
import { DormouseError } from '../base/index.ts';
import { isObject } from './request-body.ts';

/** How Prisma's clients tag the parameters that JSON has no type for. */
const TAGGED_TYPES: ReadonlyMap<unknown, ArgScalarType> = new Map<unknown, ArgScalarType>([
  ['bigint', 'bigint'],
  ['date', 'datetime'],
  ['decimal', 'decimal'],
  ['bytes', 'bytes'],
]);

/** The plan of a raw query of the JSON protocol, or undefined for any other query. Throws `request_invalid`. */
export function rawQueryPlan(query: { readonly action: string; readonly query: unknown }): QueryPlanNode | undefined {
  const { action } = query;
  if (action !== 'queryRaw' && action !== 'executeRaw') return undefined;
  const given = isObject(query.query) ? query.query.arguments : undefined;
  if (!isObject(given) || typeof given.query !== 'string') {
    throw new DormouseError('request_invalid', { message: 'The raw query has no SQL.' });
  }
  const parameters = parseParameters(given.parameters);
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

function parseParameters(given: unknown): unknown[] {
  if (given === undefined || given === null) return [];
  let parsed: unknown = given;
  if (typeof given === 'string') {
    try {
      parsed = JSON.parse(given);
    } catch (cause) {
      throw new DormouseError('request_invalid', { message: 'The parameters of the raw query are not JSON.', cause });
    }
  }
  if (!Array.isArray(parsed)) {
    throw new DormouseError('request_invalid', { message: 'The parameters of the raw query are not an array.' });
  }
  return parsed;
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
