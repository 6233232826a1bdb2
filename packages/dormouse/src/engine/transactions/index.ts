/**
 * Owns: interactive transactions: their start, their statements in order, their time limit and their end.
 * Never: knows a protocol of a client, reads a plan.
 */
export { Transactions } from './transactions.ts';
