import type { InstanceState } from '../contract/index.ts';

/** What a decision about one database rests on. */
export interface Situation {
  /** A caller forces the database to be stopped. */
  readonly forcedStop: boolean;
  /** A caller forces the database to be suspended. */
  readonly forcedSuspend: boolean;
  /** Callers wait for a hold. */
  readonly waiters: boolean;
  /** Holds are open. */
  readonly holds: boolean;
  /** Client sessions are open: the server may be suspended, but not stopped for idleness. */
  readonly sessions: boolean;
  /** The database has been in its state without activity for as long as its settings say. */
  readonly idleLongEnough: boolean;
  /** Idle tasks are worth a look. Asked only of a running database that was idle for long enough. */
  readonly idleTasksDue: boolean;
  readonly idleTasksRunning: boolean;
  /** The attachments have finished what was under way, or have nothing to finish. */
  readonly settled: boolean;
  /** The attachments are finishing what is under way. */
  readonly settling: boolean;
  /** The database is always on, and no caller has made it rest since it was used last. */
  readonly keptOn: boolean;
  /** Work on the files of the stopped server is under way. */
  readonly fileWork: boolean;
}

/** What to do next. `run`, `suspend` and `stop` are events of the table of transitions. */
export type Step =
  | 'run'
  | 'suspend'
  | 'stop'
  /** Give each waiter a hold. */
  | 'serve'
  /** Look again when the database has been idle for long enough. */
  | 'time-idleness'
  /** Begin the idle tasks, or the settling, that precede a suspend. */
  | 'begin-idle-tasks'
  | 'settle'
  /** Ask what is in the way to end; its end leads to the next decision. */
  | 'end-idle-tasks'
  | 'end-settling'
  | 'end-file-work'
  /** Run once the pause after a failed start is over. */
  | 'retry'
  /** Run once the pause after a crash is over. */
  | 'restart'
  | 'wait';

/**
 * The one place that decides when a database runs, is suspended and is stopped. In the transient states something is
 * under way, and its end leads to the next decision.
 */
export function nextStep(state: InstanceState, situation: Situation): Step {
  const { forcedStop, waiters, sessions, idleLongEnough, keptOn, fileWork } = situation;
  switch (state) {
    case 'running':
      return nextStepOfRunning(situation);
    case 'suspended':
      if (forcedStop) return 'stop';
      if (waiters || keptOn) return 'run';
      if (sessions) return 'wait';
      return idleLongEnough ? 'stop' : 'time-idleness';
    case 'stopped':
      if (waiters) return fileWork ? 'end-file-work' : 'run';
      return keptOn && !fileWork ? 'restart' : 'wait';
    case 'failed':
      if (forcedStop) return 'stop';
      return waiters || keptOn ? 'retry' : 'wait';
    default:
      return 'wait';
  }
}

function nextStepOfRunning(situation: Situation): Step {
  const { forcedStop, forcedSuspend, waiters, holds, idleTasksRunning, settled, settling } = situation;
  if (forcedStop) return 'stop';
  if (forcedSuspend) {
    if (idleTasksRunning) return 'end-idle-tasks';
    if (holds) return 'wait';
    // Waiters must not wait for more than the freeze.
    if (settling) return waiters ? 'end-settling' : 'wait';
    return settled || waiters ? 'suspend' : 'settle';
  }
  if (waiters) return 'serve';
  // The end of each of these leads to the next decision.
  if (holds || idleTasksRunning || settling) return 'wait';
  if (!situation.idleLongEnough) return 'time-idleness';
  if (situation.idleTasksDue) return 'begin-idle-tasks';
  return settled ? 'suspend' : 'settle';
}
