/**
 * Owns: interactive transactions: their options and start, their statements in order, their time limit and their end.
 * Never: knows the routes or replies of a client's protocol, reads a plan.
 */
export { transactionAborted } from './transaction-errors.ts';
export { isolationLevel, type OptionNames, transactionOptions } from './transaction-options.ts';
export { Transactions } from './transactions.ts';
