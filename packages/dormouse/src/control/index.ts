/**
 * Owns: the data directory and its lock, the master key and what derives from it, the registry (databases, keys, usage),
 *   the catalog in memory, the URLs given out, the management API and who may use it.
 * Never: stands on the path of a query (the catalog is memory), knows how a server runs (the fleet is given to it).
 * Limits: databases, keys a database, watching pages, days of usage shown.
 * Fails with: `data_locked`, `data_version`, `data_unusable`, `disk_full`, `name_invalid`, `name_taken`, `database_unknown`,
 *   `database_busy`, `database_deleted`, `key_unknown`, `quota_exceeded`, `admin_token_invalid`, `origin_refused`, `request_invalid`,
 *   and what the fleet fails with.
 */
export { Admission, type AdmissionOptions } from './admission.ts';
export { type ApiOptions, apiError, createApi } from './api.ts';
export { type ApiEventsOptions, createApiEvents } from './api-events.ts';
export { DATABASES_MAX } from './birth-and-end.ts';
export { Control, type ControlOptions, KEYS_MAX } from './control.ts';
export { DATA_FORMAT, type DataDirectory, type DataDirectoryOptions, openDataDirectory } from './data-directory.ts';
export type { Fleet } from './fleet.ts';
export { Registry } from './registry.ts';
export { Secrets } from './secrets.ts';
export { type Addresses, type DatabaseUrls, parsePublicUrl } from './urls.ts';
export type { DatabaseDetail, DatabaseSummary, KeyDetail, KeySummary } from './views.ts';
export { type ControlEvent, type Watcher, Watchers } from './watchers.ts';
