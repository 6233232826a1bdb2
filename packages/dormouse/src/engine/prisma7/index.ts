/**
 * Owns: the protocol of Prisma Client 7: checks a plan that a client sent, finds its program by its text, executes it,
 *   replies.
 * Never: compiles a query: the client did.
 */
export { milliseconds, Prisma7Routes } from './prisma7.ts';
