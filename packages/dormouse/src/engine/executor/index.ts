/**
 * Owns: plans compiled to programs, their execution over a connection, replies written straight from the rows' bytes.
 * Never: decides what a query means (the plan does), words an error (Prisma's runtime does), acquires a connection.
 * Limits: plans kept a database, texts kept a statement, bytes of a reply.
 * Fails with: what `PlanExecutor` fails with, and `reply_too_large`.
 *
 * A plan, a parameter or a value that it does not know goes to Prisma's runtime: before anything ran, or together with the rows
 * that were read. So the runtime stays the judge of everything rare.
 */
export { type CompiledPlan, type CompilePlan, compilePlan, type KeyedRecord, neverCompiled } from './compiled-plan.ts';
export { CompiledExecutor, type ExecutionCounts, type KeyedRecords, type ReplyFrame, Written } from './executor.ts';
export { Pace, SLICE_BYTES, type Slices } from './pace.ts';
