import type { InstanceState } from '../contract/index.ts';

/** Who wants what of a database. */
export interface Wants {
  /** Somebody forces it to be stopped, or suspended. */
  readonly stop: boolean;
  readonly suspend: boolean;
  /** Somebody waits for a hold. */
  readonly waiters: boolean;
  /** Somebody has one. */
  readonly holds: boolean;
  /** IdleTasks are under way. */
  readonly chores: boolean;
  /** What was under way before a rest is finished, or was given up on; or that is being waited for. */
  readonly settled: boolean;
  readonly settling: boolean;
  /** It is always on, and nobody has put it aside. */
  readonly kept: boolean;
  /** Somebody works on the files of the stopped server. */
  readonly files: boolean;
}

/**
 * What is done next: an event of the table; `serve` who waits; `rest` when it has been idle for long enough; `settle`
 * before a rest; `end-chores`, `end-settling`, `end-files`: ask those who are in the way to end; `retry`, `come-back`:
 * run, when the pause after a failure or a crash is over.
 */
export type Step =
  | 'run'
  | 'suspend'
  | 'stop'
  | 'serve'
  | 'rest'
  | 'settle'
  | 'end-chores'
  | 'end-settling'
  | 'end-files'
  | 'retry'
  | 'come-back'
  | 'wait';

/**
 * A step of its own for each state in which something can be decided; in the others something is under way, whose end
 * asks again.
 */
export function nextStep(state: InstanceState, wants: Wants): Step {
  switch (state) {
    case 'running':
      if (wants.stop) return 'stop';
      if (!wants.suspend) return 'serve';
      if (wants.chores) return 'end-chores';
      if (wants.holds) return 'wait';
      // Who needs the server is not to wait for more than the freeze.
      if (wants.settling) return wants.waiters ? 'end-settling' : 'wait';
      return wants.settled || wants.waiters ? 'suspend' : 'settle';
    case 'suspended':
      if (wants.stop) return 'stop';
      return wants.waiters || wants.kept ? 'run' : 'rest';
    case 'stopped':
      if (wants.waiters) return wants.files ? 'end-files' : 'run';
      return wants.kept && !wants.files ? 'come-back' : 'wait';
    case 'failed':
      if (wants.stop) return 'stop';
      return wants.waiters || wants.kept ? 'retry' : 'wait';
    default:
      return 'wait';
  }
}
