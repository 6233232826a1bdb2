/**
 * Owns: what an application needs besides Prisma itself: `stream()` on every model, and the fetch that sends cache
 *   invalidation to the platform.
 * Never: depends on anything; imports Prisma only as types, and its Decimal class if it is installed.
 * Limits: one connection per stream; pauses between reconnects; silence after which a connection counts as dead.
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
