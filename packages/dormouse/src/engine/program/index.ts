/**
 * Owns: plans compiled to programs, their execution over a connection, replies written straight from the rows' bytes.
 * Never: decides what a query means (the plan does), words an error (Prisma's runtime does), acquires a connection.
 * Limits: plans kept a database, texts kept a statement, bytes of a reply.
 * Fails with: what `PrismaRuntime` fails with, and `reply_too_large`.
 *
 * A plan, a parameter or a value that it does not know goes to Prisma's runtime: before anything ran, or together with
 * the rows that were read. So the runtime stays the judge of everything rare.
 */

export { Pace, SLICE_BYTES, type Slices } from './pace.ts';
export {
  type BuildProgram,
  buildProgram,
  type KeyedRecord,
  neverBuilt,
  Program,
} from './program.ts';
export {
  type ExecutionCounts,
  type KeyedRecords,
  ProgramExecutor,
  type ReplyFrame,
  WrittenReply,
} from './program-executor.ts';
