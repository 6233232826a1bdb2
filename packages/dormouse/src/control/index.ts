/**
 * Owns: the data directory and its lock, the master key and what derives from it, the registry (databases, keys,
 *   usage), the catalog in memory, the URLs given out, the management API and who may use it.
 * Never: stands on the path of a query (the catalog is memory), knows how a server runs (the fleet is given to it).
 * Limits: databases, keys a database, watching pages, days of usage shown.
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
