/**
 * Owns: programs, which are built from Prisma's query plans; their execution over a connection; replies that are
 * written straight from the bytes of the rows. Never: decides what a query means (the plan does), words an error
 * (Prisma's runtime does), acquires a connection. Limits: texts kept per statement, related records per value, bytes
 * of a reply, time per slice of work. Fails with: the errors of `PrismaRuntime`, `reply_too_large`, `query_timeout`
 * and `interrupted`.
 *
 * A plan, a parameter or a value that a program does not know goes to Prisma's runtime: either before any statement
 * ran, or together with the rows that were read. So the runtime decides every rare case.
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
