/**
 * Owns: the CLI's client of the management API: finding the platform, flags, requests, checks of replies, and texts
 *   about databases.
 * Never: prints anything.
 */

export { dataDirectory, findPlatform } from './find-platform.ts';
export {
  AT_REST_FLAG,
  CONNECTION_FLAGS,
  DATABASE_LIMIT_FLAGS,
  DATABASE_REST_FLAGS,
  type DatabaseLimitValues,
  type DatabaseRestValues,
  JSON_FLAG,
  LABEL_FLAG,
  ROLE_FLAG,
  START_FLAGS,
  type StartValues,
  YES_FLAG,
} from './flags.ts';
export type { PlatformClient } from './platform-client.ts';
export {
  type BranchDetail,
  readBranchDetail,
  readDatabaseDetail,
  readDatabases,
  readKey,
  readKeyDetail,
  readKeys,
  readStatus,
  type Status,
} from './read-replies.ts';
export { ageText, limitPairs, restCell, restPairs } from './rest-times-text.ts';
export { dashboardUrl, databasePath, keyPath, urlPairs } from './urls.ts';
