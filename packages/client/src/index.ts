/**
 * Owns: what an app needs of Dormouse beside Prisma itself: `stream()` on every model, and the fetch that keeps cache
 *   invalidation at home.
 * Never: depends on anything; imports Prisma only as types, and its Decimal class if it is there.
 * Limits: one connection a stream; waits between reconnects; silence after which a connection is dead.
 * Fails with: `DormouseStreamError`, `DormouseGapError`.
 */
export type { ConnectionOptions } from './connection.ts';
export { DormouseGapError, DormouseStreamError } from './errors.ts';
export { type DormouseOptions, withDormouse } from './extension.ts';
export { dormouseFetch } from './invalidation-fetch.ts';
export type {
  CreateEvent,
  DeleteEvent,
  DormouseExtension,
  EventOf,
  EventStream,
  ScalarWhere,
  StreamArgs,
  StreamMethods,
  StreamPromise,
  UpdateEvent,
} from './types.ts';
