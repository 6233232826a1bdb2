import type { Clock } from '../../base/index.ts';
import type { InstanceState } from '../contract/index.ts';
import type { Attachments } from './attachments.ts';
import { type IdleTasks, IdleTaskTurn } from './idle-tasks.ts';
import { IdleTimer, type RestSettings } from './idle-timer.ts';
import type { Situation, Step } from './next-step.ts';
import { Settling } from './settling.ts';

/** The facts about an idle database that a decision rests on. */
export type IdleSituation = Pick<
  Situation,
  'idleLongEnough' | 'idleTasksDue' | 'idleTasksRunning' | 'settled' | 'settling'
>;

/** The steps that only an idle database takes. */
export type IdleStep = Extract<
  Step,
  'time-idleness' | 'begin-idle-tasks' | 'settle' | 'end-idle-tasks' | 'end-settling'
>;

export interface IdlenessOptions {
  readonly clock: Clock;
  readonly rest: RestSettings;
  readonly idleTasks: IdleTasks | undefined;
  readonly attachments: Attachments;
  /** Called when a fact has changed that a decision rests on. */
  readonly decide: () => void;
}

/** How long a database has been idle, and what is done on it before it rests. */
export class Idleness {
  readonly timer: IdleTimer;
  readonly #tasks: IdleTaskTurn;
  readonly #settling: Settling;

  constructor({ clock, rest, idleTasks, attachments, decide }: IdlenessOptions) {
    this.timer = new IdleTimer(clock, rest, decide);
    this.#tasks = new IdleTaskTurn(idleTasks, decide);
    this.#settling = new Settling(attachments, decide);
  }

  get settling(): boolean {
    return this.#settling.running;
  }

  situation(state: InstanceState): IdleSituation {
    const idleLongEnough = this.timer.over(state);
    return {
      idleLongEnough,
      idleTasksDue: state === 'running' && idleLongEnough && this.#tasks.due,
      idleTasksRunning: this.#tasks.running,
      settled: this.#settling.done,
      settling: this.#settling.running,
    };
  }

  do(step: IdleStep, state: InstanceState): void {
    switch (step) {
      case 'time-idleness':
        this.timer.arm(state);
        break;
      case 'begin-idle-tasks':
        this.#tasks.begin();
        break;
      case 'settle':
        this.#settling.begin();
        break;
      case 'end-idle-tasks':
        this.#tasks.giveUp();
        break;
      case 'end-settling':
        this.#settling.giveUp();
        break;
    }
  }

  /** The server is used: what is done on an idle server is given up. */
  used(): void {
    this.#tasks.giveUp();
    this.#settling.used();
  }

  /** A state has ended, and with it what was done in it. */
  stateEnded(): void {
    this.timer.cancel();
    this.#tasks.giveUp();
    this.#settling.giveUp();
  }
}
