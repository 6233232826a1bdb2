/**
 * Owns: the servers of all databases on one machine: binaries, template, storage, processes, when each rests
 *   (controller), what they cost together (memory keeper), and the maintenance that is done before a rest.
 * Never: knows who asks, what a query is, or what lies in the registry; gives a server to anyone but through a hold.
 * Limits: one platform a data directory (its lock); a server's log; every wait has a bound; holds are counted, not
 *   limited.
 * Fails with: `wake_timeout`, `start_failed`, `binaries_missing`, `disk_full`, `database_busy`, `database_deleted`,
 *   `branch_failed`, `shutting_down`; at set-up `data_locked`, `data_unusable`, `account_unusable`, `binaries_missing`.
 */

export {
  ensureTemplate0,
  MAIN_DATABASE_OID_SQL,
  OwnBackends,
  REPLICATION_ROLE,
  retireObjects,
  SUPERUSER,
} from './administration/index.ts';
export type { BranchOptions } from './branching/index.ts';
export type { IsolationKind, Limits } from './confinement/index.ts';
export type {
  Attachment,
  Backends,
  CopyWay,
  Credentials,
  Endpoint,
  ForkResult,
  Hold,
  Instance,
  InstanceState,
} from './contract/index.ts';
export type { Instances, InstancesOptions, PrepareResult, RecoverResult } from './instances.ts';
export { openInstances } from './instances.ts';
export { DEFAULT_REST, type RestSettings, restOf } from './life/index.ts';
export { type DirectoryLock, diskError, lockDirectory, machineBootId, sqliteError } from './machine/index.ts';
export type { MaintenanceView } from './maintenance/index.ts';
export type { MemoryUse } from './memory/index.ts';
export { checkBuilds } from './postgres/index.ts';
