/**
 * Owns: when one server starts, is frozen, thawed and stopped: the state machine, and the one function that decides
 *   (next-step).
 * Never: touches a process or a file: it asks a `Server`.
 */
export { Controller } from './controller.ts';
export type { IdleTasks } from './idle-tasks.ts';
export { DEFAULT_REST, type RestSettings, restOf } from './idle-timer.ts';
