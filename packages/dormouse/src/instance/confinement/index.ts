/**
 * Owns: what keeps a server within bounds: its sandbox or account, and its limits of memory, processor time, processes
 *   and temporary files.
 * Never: starts a server.
 */
export {
  chooseIsolation,
  DATA_LOCKED_EXIT,
  type Isolation,
  type IsolationKind,
  lockFile,
  SANDBOX_PROGRAM,
} from './isolation.ts';
export { LimitGroups } from './limit-groups.ts';
export type { Limits } from './limits.ts';
export type { ProcessWorld } from './process-world.ts';
export { type LimitsState, ServerLimits } from './server-limits.ts';
