import type { InstanceState } from '../contract/index.ts';

/** What may happen to an instance. The first three are orders; the others are reports. */
export type InstanceEvent =
  /** The server is needed. */
  | 'run'
  /** The database is idle for long enough, or a caller forces it to rest. */
  | 'suspend'
  | 'stop'
  /** A server of an earlier platform was taken over. */
  | 'adopted'
  /** The work of the transient state is done. */
  | 'done'
  /** The work of the transient state has failed. */
  | 'failed'
  /** The server is gone without a stop of ours. */
  | 'exited';

export const INSTANCE_STATES: readonly InstanceState[] = [
  'stopped',
  'starting',
  'running',
  'suspending',
  'suspended',
  'waking',
  'stopping',
  'failed',
];
export const INSTANCE_EVENTS: readonly InstanceEvent[] = [
  'run',
  'suspend',
  'stop',
  'adopted',
  'done',
  'failed',
  'exited',
];

/** States in which work is under way that reports `done` or `failed`. */
export type TransientState = 'starting' | 'suspending' | 'waking' | 'stopping';

/**
 * Where each event leads from each state: to the same state if there is nothing to do now (after a transient state the
 * next step is decided anew), `bug` if the event cannot happen in that state.
 */
export const TRANSITIONS: Readonly<Record<InstanceState, Readonly<Record<InstanceEvent, InstanceState | 'bug'>>>> = {
  stopped: {
    run: 'starting',
    suspend: 'stopped',
    stop: 'stopped',
    adopted: 'running',
    done: 'bug',
    failed: 'bug',
    exited: 'stopped',
  },
  starting: {
    run: 'starting',
    suspend: 'starting',
    stop: 'starting',
    adopted: 'bug',
    done: 'running',
    failed: 'failed',
    // The start itself fails because of the exit.
    exited: 'starting',
  },
  running: {
    run: 'running',
    suspend: 'suspending',
    stop: 'stopping',
    adopted: 'bug',
    done: 'bug',
    failed: 'bug',
    exited: 'stopped',
  },
  suspending: {
    run: 'suspending',
    suspend: 'suspending',
    stop: 'suspending',
    adopted: 'bug',
    done: 'suspended',
    // The server could not be frozen and runs on.
    failed: 'running',
    exited: 'stopped',
  },
  suspended: {
    run: 'waking',
    suspend: 'suspended',
    stop: 'stopping',
    adopted: 'bug',
    done: 'bug',
    failed: 'bug',
    exited: 'stopped',
  },
  waking: {
    run: 'waking',
    suspend: 'waking',
    stop: 'waking',
    adopted: 'bug',
    done: 'running',
    // The server does not thaw: what is left of it is ended.
    failed: 'stopping',
    exited: 'stopped',
  },
  stopping: {
    run: 'stopping',
    suspend: 'stopping',
    stop: 'stopping',
    adopted: 'bug',
    done: 'stopped',
    // A process of the server is alive and cannot be ended: no server starts until it can be.
    failed: 'failed',
    exited: 'stopping',
  },
  failed: {
    run: 'starting',
    suspend: 'failed',
    // A process of the server may still be alive.
    stop: 'stopping',
    adopted: 'bug',
    done: 'bug',
    failed: 'bug',
    exited: 'failed',
  },
};
