/**
 * Owns: the protocol of Prisma Client 6: plans for JSON queries, single or in batches, their execution and replies; the
 *   upload of schemas; the start and end of the client's interactive transactions.
 * Never: runs the compiler itself, stores a schema.
 */
export { PlansByShape } from './plans-by-shape.ts';
export type { Prisma6QueryParts } from './prisma6-queries.ts';
export { Prisma6QueryRoutes } from './prisma6-query-routes.ts';
export { Prisma6TransactionRoutes } from './prisma6-transaction-routes.ts';
export { QueryPlanner } from './query-planning.ts';
export { uploadSchema } from './schema-upload.ts';
