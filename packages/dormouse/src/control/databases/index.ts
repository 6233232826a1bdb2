/**
 * Owns: the directory of databases; creating, branching, changing and deleting them; their views in the API.
 * Never: stores anything itself, speaks HTTP.
 */
export { BranchJobs } from './branch-jobs.ts';
export { DatabaseDirectory } from './database-directory.ts';
export { type BranchRequest, DATABASES_MAX, DatabaseLifecycle } from './database-lifecycle.ts';
export type { Fleet } from './fleet.ts';
export { LIMITS, type LimitDefaults, patchLimits } from './limits-patch.ts';
export { patchRest, type RestDefaults } from './rest-times-patch.ts';
export { type Addresses, parsePublicUrl } from './urls.ts';
export { Views } from './views.ts';
export { type ControlEvent, type Watcher, Watchers } from './watchers.ts';
