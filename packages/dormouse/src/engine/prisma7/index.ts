/**
 * Owns: the protocol of Prisma Client 7: checks a plan that a client sent, finds its program by its text, executes it,
 *   replies; starts and ends the client's interactive transactions.
 * Never: compiles a query: the client did.
 */
export { Prisma7QueryRoutes } from './prisma7-query-routes.ts';
export { connectionInfoReply } from './prisma7-replies.ts';
export { Prisma7TransactionRoutes } from './prisma7-transaction-routes.ts';
