/**
 * Owns: the servers of all databases on one machine: binaries, template, storage, processes, when each rests (controller), what they
 *   cost together (memory keeper), and the maintenance that is done before a rest.
 * Never: knows who asks, what a query is, or what lies in the registry; gives a server to anyone but through a hold.
 * Limits: one platform a data directory (its lock); a server's log; every wait has a bound; holds are counted, not limited.
 * Fails with: `wake_timeout`, `start_failed`, `binaries_missing`, `disk_full`, `database_busy`, `database_deleted`, `branch_failed`, `shutting_down`; at set-up
 * `data_locked`, `data_unusable`, `account_unusable`, `binaries_missing`.
 */
export type { Backends } from './backends.ts';
export type { BranchOptions } from './branches.ts';
export { checkBuilds } from './builds.ts';
export { diskError, sqliteError } from './files.ts';
export type { Attachment, Endpoint, Hold, Instance, InstanceState } from './instance.ts';
export type { Instances, InstancesOptions, PrepareResult, RecoverResult } from './instances.ts';
export { openInstances } from './instances.ts';
export type { IsolationKind } from './isolation.ts';
export type { Limits } from './limits.ts';
export { type DirectoryLock, lockDirectory } from './lock.ts';
export type { MaintenanceView } from './maintenance.ts';
export type { MemoryUse } from './memory-keeper.ts';
export { machineBootId } from './process-table.ts';
export { DEFAULT_REST, type RestSettings, restOf } from './rest-clock.ts';
export { OwnBackends } from './own-backends.ts';
export { retireObjects } from './retire-objects.ts';
export { REPLICATION_ROLE, SUPERUSER } from './roles.ts';
export type { CopyWay, ForkResult } from './runtime.ts';
export { MAIN_DATABASE_OID_SQL } from './server-upgrade.ts';
export { ensureTemplate0 } from './template0.ts';
