/**
 * Owns: what the operating system offers: files made durable, process table, control groups, accounts, locks, memory.
 * Never: knows what a database is, except for where its files are (layout).
 */
export { type Account, checkReachable, resolveAccount, spawnIdentity } from './account.ts';
export {
  CGROUP_PREFIX,
  type CgroupPlace,
  descendants,
  findCgroup,
  gather,
  membersOf,
  moveProcess,
  PLATFORM_GROUP,
  removeGroup,
  serverGroup,
} from './cgroup.ts';
export { chooseFreezer } from './choose-freezer.ts';
export {
  copyTree,
  diskError,
  readIfPresent,
  readyClone,
  removeTree,
  removeUnfinished,
  renameDurably,
  runAs,
  sqliteError,
  syncDirectory,
  syncTree,
  treeBytes,
  unfinishedPath,
  writeDurably,
  writeIfChanged,
} from './files.ts';
export type { Freezer, Thaw } from './freezer.ts';
export {
  CONDEMNED_PREFIX,
  COPY_PREFIX,
  type DatabaseLayout,
  type DataLayout,
  databaseLayout,
  dataLayout,
  SPARE_PREFIX,
} from './layout.ts';
export { type LifelineWatch, lifelineHeld, makeLifeline, openLifeline, watchLifeline } from './lifeline.ts';
export { type DirectoryLock, lockDirectory } from './lock.ts';
export { machineMemory } from './machine-memory.ts';
export { treeMemoryBytes } from './process-memory.ts';
export { machineBootId, type ProcessIdentity, type ProcessTable, signal, systemProcessTable } from './process-table.ts';
export { type SocketPaths, socketPaths } from './socket-path.ts';
