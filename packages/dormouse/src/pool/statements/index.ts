/**
 * Owns: the statements of one connection: which are prepared, which are pending, and what their messages and command
 *   tags mean.
 * Never: reads or writes a socket.
 */
export { PendingStatement, stoppedWith } from './pending-statement.ts';
export { PreparedStatements } from './prepared-statements.ts';
export { readMessage } from './read-message.ts';
export { mayChangeSchemaBytes, SchemaChanges } from './schema-changes.ts';
export { StatementQueue } from './statement-queue.ts';
