/**
 * Thrown where a plan, its parameters or its rows hold something that only Prisma's runtime handles. The runtime then
 * takes over: either it executes the whole plan, if no statement has run yet, or it evaluates one node over the values
 * that were read. No statement runs twice.
 */
export class NeedsRuntime extends Error {
  override readonly name = 'NeedsRuntime';
}
