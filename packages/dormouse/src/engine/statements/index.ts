/**
 * Owns: the statements of one operation on a leased connection; conversion of values to parameters, of rows to values,
 * and of Postgres errors to Prisma's errors.
 * Never: knows what a plan is, or decides which connection to use.
 */
export { encodeArgument } from './arguments.ts';
export { columnCodec, ReplyBytes } from './column-types.ts';
export { decodeResult } from './rows.ts';
export type { EarlierForm } from './sqlstate-errors.ts';
export {
  type IsolationLevel,
  type LeaseSource,
  type OperationBounds,
  type StatementLease,
  type StatementObserver,
  Statements,
  withStatements,
} from './statements.ts';
export type { TransactionStep } from './transaction-step.ts';
export { inColumn, otherEncoding } from './unreadable-text.ts';
