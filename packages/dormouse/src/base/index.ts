/**
 * Owns: errors and their table, ids, clock, deadlines, cancellation, timings, the catalog's read-only type, the minimal
 *   request, the routes and headers of the Accelerate protocols.
 * Never: does I/O, imports node: modules or another folder; runs in Node and in Workers.
 * Limits: none of its own.
 * Fails with: `name_invalid`, `route_unknown`, `method_not_allowed`.
 */
export * from './assert.ts';
export * from './cancellation.ts';
export * from './catalog.ts';
export * from './clock.ts';
export * from './deadline.ts';
export * from './errors.ts';
export * from './ids.ts';
export * from './limits.ts';
export * from './log.ts';
export * from './requests/index.ts';
export * from './sql-transaction.ts';
export * from './timings.ts';
