import { DormouseError } from '../base/index.ts';
import type { ReplyFrame } from './executor/index.ts';
import { isObject, type JsonObject } from './request-body.ts';

/** What a query is called by: its result and its errors are named after it. */
export interface QueryHead {
  readonly modelName?: string;
  readonly action: string;
}

/** One query as the JSON protocol writes it. */
export interface JsonQuery extends QueryHead {
  readonly query: JsonObject;
}

/** The compiler breaks at an action that it does not know, instead of refusing it. */
const ACTIONS = new Set([
  ...['findUnique', 'findUniqueOrThrow', 'findFirst', 'findFirstOrThrow', 'findMany', 'aggregate', 'groupBy'],
  ...['createOne', 'createMany', 'createManyAndReturn', 'updateOne', 'updateMany', 'updateManyAndReturn'],
  ...['upsertOne', 'deleteOne', 'deleteMany', 'queryRaw', 'executeRaw'],
]);

/** Reads a query. Throws `request_invalid` for what is none, `query_invalid` for an action that does not exist. */
export function jsonQuery(value: unknown): JsonQuery {
  if (!isObject(value) || typeof value.action !== 'string' || !isObject(value.query)) {
    throw new DormouseError('request_invalid', { message: 'The request body is not a query of Prisma Client 6.' });
  }
  if (!ACTIONS.has(value.action)) {
    throw new DormouseError('query_invalid', { message: `There is no action "${value.action.slice(0, 80)}".` });
  }
  const { modelName } = value;
  if (modelName !== undefined && modelName !== null && typeof modelName !== 'string') {
    throw new DormouseError('request_invalid', { message: 'The model name of the query is not a string.' });
  }
  return { ...(typeof modelName === 'string' ? { modelName } : {}), action: value.action, query: value.query };
}

/** The one key of a result; the client looks at it to tell raw queries from others. */
export function resultName({ action, modelName = '' }: QueryHead): string {
  const suffix = /(?:OrThrow|AndReturn)$/.exec(action)?.[0] ?? '';
  return action.slice(0, action.length - suffix.length) + modelName + suffix;
}

const FRAME_END = Buffer.from('}}');

/** What stands around the data in the reply to a query. */
export function replyFrameOf(head: QueryHead): ReplyFrame {
  return { before: Buffer.from(`{"data":{${JSON.stringify(resultName(head))}:`), after: FRAME_END };
}
