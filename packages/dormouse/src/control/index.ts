/**
 * Owns: the data directory and its lock, the master key and the secrets derived from it, the registry (databases, keys,
 *   usage), the catalog in memory, the URLs of databases, the management API and its access control.
 * Never: does I/O on the path of a query (the catalog is in memory), knows how a server runs (the platform passes the
 *   fleet).
 * Limits: databases, keys per database, pages that watch, days of usage shown.
 * Fails with: `data_locked`, `data_version`, `data_unusable`, `disk_full`, `name_invalid`, `name_taken`,
 *   `database_unknown`, `database_busy`, `database_deleted`, `key_unknown`, `quota_exceeded`, `admin_token_invalid`,
 *   `origin_refused`, `request_invalid`, and what the fleet fails with.
 */
export {
  Admission,
  type AdmissionOptions,
  type ApiEventsOptions,
  type ApiOptions,
  apiError,
  createApi,
  createApiEvents,
} from './api/index.ts';
export { Control, type ControlOptions, KEYS_MAX } from './control.ts';
export type { Fleet } from './databases/index.ts';
export {
  type Addresses,
  type ControlEvent,
  DATABASES_MAX,
  parsePublicUrl,
  type Watcher,
  Watchers,
} from './databases/index.ts';
export {
  DATA_FORMAT,
  type DataDirectory,
  type DataDirectoryOptions,
  openDataDirectory,
  Registry,
  Secrets,
} from './registry/index.ts';
