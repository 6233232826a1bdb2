/**
 * Owns: the server connections of one database and role: opening, leasing, the waiting queue, prepared statements,
 *   cancelling, cleaning.
 * Never: runs SET ROLE (connections are opened as the role), wakes a database without a caller that acquires, keeps a
 *   database awake while idle.
 * Limits: connections, waiters, prepared statements per connection, bytes of one reply, time of each wait.
 * Fails with: `queue_full`, `connection_timeout`, `query_timeout`, `reply_too_large`, `interrupted`, `request_invalid`,
 *   `database_crashed`, `database_stopped`, `shutting_down`, what `Instance.hold` fails with, and `PostgresError`.
 */
export {
  endBackend,
  type LeftBackend,
  openServerSession,
  type Reached,
  type ReachOptions,
  reachServer,
  type ServerSession,
  type ServerSessionOptions,
  StoredCode,
} from './connection/index.ts';
export * from './pool.ts';
export { createPool, POOL_CONNECTIONS_MAX, POOL_WAITERS_MAX, type PoolOptions } from './server-pool.ts';
export { mayChangeSchemaBytes, SchemaChanges } from './statements/index.ts';
