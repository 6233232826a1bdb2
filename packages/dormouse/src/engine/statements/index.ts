/**
 * Owns: statements of plans on a leased connection: values to parameters, rows to values, Postgres errors to Prisma's.
 * Never: knows what a plan is, acquires a connection.
 */
export { encodeArgument } from './arguments.ts';
export { columnCodec, ReplyBytes } from './column-types.ts';
export type { EarlierForm } from './postgres-errors.ts';
export { decodeResult } from './rows.ts';
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
