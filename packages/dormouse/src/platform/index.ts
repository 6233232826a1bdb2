/**
 * Owns: the assembly of one server process: it opens the data directory, builds every stage once, starts both doors,
 *   and closes everything in the opposite order.
 * Never: executes a query, decides when a database rests, knows a command of the CLI.
 * Limits: one platform per data directory; starts of databases at a time (start gate).
 * Fails with: `usage_invalid`, `data_locked`, `data_unusable`, `port_taken` and what the stages fail with while they
 *   open.
 */
export { type Platform, type PlatformOptions, startPlatform } from './platform.ts';
