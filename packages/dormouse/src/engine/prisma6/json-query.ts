import { DormouseError } from '../../base/index.ts';
import type { ReplyFrame } from '../program/index.ts';
import { isObject, type JsonObject } from '../request/index.ts';

/** The names of a query, after which its result and its errors are named. */
export interface QueryHead {
  readonly modelName?: string;
  readonly action: string;
}

/** One query of the JSON protocol. */
export interface JsonQuery extends QueryHead {
  readonly query: JsonObject;
}

/** The actions for Postgres. The compiler panics at an action that it does not know, instead of refusing it. */
const ACTIONS = new Set([
  ...['findUnique', 'findUniqueOrThrow', 'findFirst', 'findFirstOrThrow', 'findMany', 'aggregate', 'groupBy'],
  ...['createOne', 'createMany', 'createManyAndReturn', 'updateOne', 'updateMany', 'updateManyAndReturn'],
  ...['upsertOne', 'deleteOne', 'deleteMany', 'queryRaw', 'executeRaw'],
]);

/**
 * The error of Prisma 6's engine for a query with an action that it does not know or that does not fit the model;
 * undefined for any other query.
 */
export function unknownOperation({ action, modelName }: QueryHead): string | undefined {
  const isRaw = action === 'queryRaw' || action === 'executeRaw';
  if (ACTIONS.has(action) && isRaw === (modelName === undefined)) return undefined;
  return `Operation '${action.slice(0, 80)}' for model '${modelName?.slice(0, 80) ?? 'None'}' does not match any query.`;
}

/** Reads a query. Throws `request_invalid` for a value that is no query. */
export function jsonQuery(value: unknown): JsonQuery {
  if (!isObject(value) || typeof value.action !== 'string' || !isObject(value.query)) {
    throw new DormouseError('request_invalid', { message: 'The request body is not a query of Prisma Client 6.' });
  }
  const { modelName } = value;
  if (modelName !== undefined && modelName !== null && typeof modelName !== 'string') {
    throw new DormouseError('request_invalid', { message: 'The model name of the query is not a string.' });
  }
  return { ...(typeof modelName === 'string' ? { modelName } : {}), action: value.action, query: value.query };
}

/** The only key of a result, by which the client tells raw queries from others. */
export function resultName({ action, modelName = '' }: QueryHead): string {
  const suffix = /(?:OrThrow|AndReturn)$/.exec(action)?.[0] ?? '';
  return action.slice(0, action.length - suffix.length) + modelName + suffix;
}

const FRAME_END = Buffer.from('}}');

/** The text around the data in the reply to a query. */
export function replyFrameOf(head: QueryHead): ReplyFrame {
  return { before: Buffer.from(`{"data":{${JSON.stringify(resultName(head))}:`), after: FRAME_END };
}
