/**
 * Owns: the servers of all databases on one machine: programs, template, storage, processes, when each server rests
 *   (controller), how much memory they use together (memory keeper), and the maintenance that is done before a rest.
 * Never: knows who its callers are, what a query is, or what the registry holds; gives access to a server other than
 *   through a hold.
 * Limits: one platform per data directory (its lock); the size of a server's log; every wait has a bound; holds are
 *   counted, not limited.
 * Fails with: `wake_timeout`, `start_failed`, `binaries_missing`, `disk_full`, `database_busy`, `database_deleted`,
 *   `branch_failed`, `limits_unavailable`, `shutting_down`; at set-up `data_locked`, `data_unusable`,
 *   `account_unusable`, `binaries_missing`, `usage_invalid`.
 */

export {
  AdminBackends,
  ensureTemplate0,
  MAIN_DATABASE_OID_SQL,
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
  Runtime,
} from './contract/index.ts';
export type { Instances, InstancesOptions, RecoverResult } from './instances.ts';
export { openInstances } from './instances.ts';
export { DEFAULT_REST, type RestSettings, restOf } from './life/index.ts';
export { type DirectoryLock, diskError, lockDirectory, machineBootId, sqliteError } from './machine/index.ts';
export type { MaintenanceView } from './maintenance/index.ts';
export { MemoryKeeper } from './memory/index.ts';
export { checkBuilds } from './postgres/index.ts';
export {
  openProcessMachine,
  type PreparedMachine,
  type ProcessMachine,
  type ProcessMachineOptions,
  type ServersDescription,
} from './process/index.ts';
