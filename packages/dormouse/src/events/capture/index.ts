/**
 * Owns: capture: the replication connection and slot of a database, decoded transactions, and the names and keys of its
 *   tables.
 * Never: delivers events, creates an object in a tenant's database.
 */
export { Capture, type CaptureOptions } from './capture.ts';
export type { Connect } from './replication-connection.ts';
export { TableCatalog } from './table-catalog.ts';
export { tableText } from './table-name.ts';
