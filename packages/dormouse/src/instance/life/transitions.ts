import type { InstanceState } from '../contract/index.ts';

/** What may happen to an instance. The first three are wishes; the others are reports of what was begun. */
export type InstanceEvent =
  /** Somebody needs the server. */
  | 'run'
  /** It is idle, or somebody forces it to rest. */
  | 'suspend'
  | 'stop'
  /** A server of an earlier platform was taken over. */
  | 'adopted'
  /** What the transient state began is done. */
  | 'done'
  /** What the transient state began did not succeed. */
  | 'failed'
  /** The server is gone without our doing. */
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

/** States in which something is under way that reports `done` or `failed`. */
export type TransientState = 'starting' | 'suspending' | 'waking' | 'stopping';

/**
 * Where each event leads from each state: the same state if there is nothing to do now (a wish in a transient state is
 * looked at again when it is over), `bug` if the event cannot happen there.
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
    // The start itself fails of it.
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
    // It could not be frozen and runs on.
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
    // It does not thaw: what is left of it is ended.
    failed: 'stopping',
    exited: 'stopped',
  },
  stopping: {
    run: 'stopping',
    suspend: 'stopping',
    stop: 'stopping',
    adopted: 'bug',
    done: 'stopped',
    // Something of it is alive and cannot be ended: no server starts until it can be.
    failed: 'failed',
    exited: 'stopping',
  },
  failed: {
    run: 'starting',
    suspend: 'failed',
    // Perhaps something of it is still alive.
    stop: 'stopping',
    adopted: 'bug',
    done: 'bug',
    failed: 'bug',
    exited: 'failed',
  },
};
