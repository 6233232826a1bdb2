/**
 * Owns: server connections of one (database, role): opening, leasing, the waiting queue, prepared statements, cancelling, cleaning.
 * Never: runs SET ROLE (connections are opened as the role), wakes a database unless somebody acquires, keeps one awake while idle.
 * Limits: connections, waiters, prepared statements a connection, bytes of one reply, time of each wait.
 * Fails with: `queue_full`, `connection_timeout`, `query_timeout`, `reply_too_large`, `interrupted`, `request_invalid`,
 * `database_crashed`, `database_stopped`, `shutting_down`, what `Instance.hold` fails with, and `PostgresError`.
 */
export * from './backend-end.ts';
export * from './cancel-request.ts';
export * from './connect.ts';
export * from './connection-lost.ts';
export * from './handshake.ts';
export * from './pool.ts';
export { mayChangeSchemaBytes, SchemaChanges } from './schema-changes.ts';
export { createPool, POOL_CONNECTIONS_MAX, POOL_WAITERS_MAX, type PoolOptions } from './server-pool.ts';
export { StoredCode } from './stored-code.ts';
