/**
 * Owns: both Accelerate protocols behind the edge (6: JSON query, 7: query plan), uploaded schemas, the compiler's
 *   threads, the execution of plans, interactive transactions.
 * Never: authenticates, caches replies, opens connections of its own, knows where a database runs.
 * Limits: `EngineLimits`; compile time and memory, waiting compile jobs, schemas held compiled, nesting of bodies,
 *   batch length.
 * Fails with: `request_invalid`, `plan_invalid`, `query_invalid`, `schema_invalid`, `schemas_exhausted`,
 *   `body_too_large`, `route_unknown`, `method_not_allowed`, `reply_too_large`, `query_timeout`, `queue_full`,
 *   `transactions_exhausted`, `shutting_down`, `disk_full`, `internal`, and what a pool fails with. What the client
 *   must see with a code of Prisma's own (P2002 …) is a reply, not an error.
 *
 * Two words are kept apart: Prisma's compiler *compiles* a query to a plan (compiler/); the engine *builds* a program
 * from a plan (program/). Plans and programs are kept by what a request shows of them: PlansByText (Prisma 7),
 * PlansByTemplate and PlansByShape (Prisma 6), ProgramsByPlan.
 */
export { createEngine, type EngineOptions } from './create-engine.ts';
export * from './engine.ts';
