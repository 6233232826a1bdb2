/**
 * Owns: the TCP door: the login by SCRAM with a key as user, one backend per session, which is opened as the key's
 *   role, the relay, cancel requests.
 * Never: reads SQL, pools sessions, keeps a database awake for an idle session, changes a session's role, ends TLS.
 * Limits: connections, sessions per database, login time, wake time; 32 KiB before the login.
 * Fails with: as ErrorResponse `key_missing`, `key_invalid`, `key_revoked`, `permission_denied`,
 *   `connections_exhausted`, `body_timeout`, `database_deleted`, `database_stopped`, `database_crashed`,
 *   `shutting_down`, `request_invalid`, `version_unsupported`, what `Instance.hold` fails with, and Postgres' own
 *   errors.
 */
export {
  createPostgresDoor,
  type DoorDatabase,
  POSTGRES_DOOR_LIMITS,
  type PostgresDoor,
  type PostgresDoorLimits,
  type PostgresDoorOptions,
} from './door.ts';
