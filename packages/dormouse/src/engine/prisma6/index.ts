/**
 * Owns: the protocol of Prisma Client 6: JSON queries to plans by templates, single or in batches, executed and replied
 *   to.
 * Never: runs the compiler itself, stores a schema.
 */
export { PlansByShape } from './plans-by-shape.ts';
export { Prisma6Routes } from './prisma6.ts';
export type { Prisma6Parts } from './prisma6-queries.ts';
export { QueryPlanner } from './query-planning.ts';
