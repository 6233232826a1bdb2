import {
  assert,
  type Clock,
  type DatabaseId,
  Deadline,
  DormouseError,
  type Logger,
  type Role,
  toDormouseError,
} from '../../base/index.ts';
import type {
  Attachment,
  Backends,
  Credentials,
  Endpoint,
  Hold,
  Instance,
  InstanceState,
  Server,
} from '../contract/index.ts';
import { Attachments } from './attachments.ts';
import { Backoff } from './backoff.ts';
import { FileWork } from './file-work.ts';
import { type ForcedState, ForcedStates } from './forced-states.ts';
import { Holds } from './holds.ts';
import type { IdleTasks } from './idle-tasks.ts';
import type { RestSettings } from './idle-timer.ts';
import { Idleness } from './idleness.ts';
import { nextStep, type Situation } from './next-step.ts';
import { RestartBackoff } from './restart-backoff.ts';
import { type CloseReason, ServerWork } from './server-work.ts';
import { Sessions } from './sessions.ts';
import { StateMachine } from './state-machine.ts';
import type { TransientState } from './transitions.ts';
import { Waiters } from './waiters.ts';

/** How long a forced wake waits: a recovery may take longer, and goes on. */
const WAKE_MS = 5 * 60_000;

/** How long a forced suspend waits for the holds of queries that run. */
const DRAIN_MS = 10_000;

export interface ControllerOptions {
  readonly databaseId: DatabaseId;
  readonly server: Server;
  readonly rest: RestSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Done on the idle server before it is suspended for idleness. */
  readonly idleTasks?: IdleTasks;
  /** Awaited before a start: other servers may have to stop first. Never rejects. */
  readonly makeRoom?: () => Promise<void>;
}

/**
 * Runs one database's server: moves its state as TRANSITIONS allows and `nextStep` decides. Everything that bears on
 * that decision is held here, and each change of it leads to `#decide`.
 */
export class Controller implements Instance {
  readonly databaseId: DatabaseId;
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #attachments: Attachments;
  readonly #work: ServerWork;
  readonly #machine: StateMachine;
  readonly #waiters: Waiters;
  readonly #forced: ForcedStates;
  readonly #startBackoff: Backoff;
  readonly #restartBackoff: RestartBackoff;
  readonly #holds: Holds;
  readonly #sessions: Sessions;
  readonly #idle: Idleness;
  readonly #files = new FileWork();
  #failure: DormouseError | undefined;
  /** Set once: why no hold is given any more. */
  #closed: CloseReason | undefined;
  /** A caller made it rest: even an always-on database stays at rest until it is needed again. */
  #setAside = false;
  #adopting = false;

  constructor(options: ControllerOptions) {
    const { clock } = options;
    const decide = (): void => this.#decide();
    this.databaseId = options.databaseId;
    this.#server = options.server;
    this.#clock = clock;
    this.#logger = options.logger;
    this.#machine = new StateMachine({
      enter: (state, previous) => this.#enter(state, previous),
      settled: decide,
    });
    this.#attachments = new Attachments(clock);
    this.#work = new ServerWork(options.server, this.#attachments, clock, options.makeRoom ?? (async () => {}));
    // A caller that waited through the pause after a failed start is told why the start failed.
    this.#waiters = new Waiters(clock, () =>
      this.#machine.state === 'failed' && this.#failure ? this.#failure : new DormouseError('wake_timeout'),
    );
    this.#forced = new ForcedStates(clock);
    this.#startBackoff = new Backoff(clock);
    this.#restartBackoff = new RestartBackoff(clock);
    this.#holds = new Holds(() => this.#lastHoldReleased());
    this.#sessions = new Sessions(() => this.#idle.timer.arm(this.#machine.state));
    const { rest, idleTasks } = options;
    this.#idle = new Idleness({ clock, rest, idleTasks, attachments: this.#attachments, decide });
    this.#server.onExit = () => {
      this.#work.exited();
      this.#restartBackoff.crashed();
      this.#machine.dispatch('exited');
    };
  }

  get state(): InstanceState {
    return this.#machine.state;
  }
  get failure(): DormouseError | undefined {
    return this.#failure;
  }
  get endpoint(): Endpoint {
    return this.#server.endpoint;
  }
  get backends(): Backends {
    return this.#server.backends;
  }
  credentials(role: Role): Credentials {
    return this.#server.credentials(role);
  }
  get generation(): number {
    return this.#holds.generation;
  }
  /** For copies of the server's storage; only the controller starts, suspends and stops the server. */
  get server(): Server {
    return this.#server;
  }
  /** Why no hold is given any more. */
  get closed(): CloseReason | undefined {
    return this.#closed;
  }
  /** The number of open holds, for tests and status. */
  get holds(): number {
    return this.#holds.open;
  }
  get rest(): RestSettings {
    return this.#idle.timer.settings;
  }
  /** When the database was used last, on the monotonic clock. */
  get usedAtMs(): number {
    return this.#idle.timer.usedAtMs;
  }

  tryHold(): Hold | undefined {
    if (this.#machine.state !== 'running' || this.#forced.size > 0 || this.#closed !== undefined) return undefined;
    return this.#newHold();
  }

  async hold(deadline: Deadline): Promise<Hold> {
    if (this.#closed !== undefined) throw new DormouseError(this.#closed);
    const hold = this.tryHold();
    if (hold !== undefined) return hold;
    const waiting = this.#waiters.add(deadline);
    this.#setAside = false;
    this.#decide();
    return waiting;
  }

  openSession(): Hold {
    return this.#sessions.add();
  }

  suspend(): Promise<void> {
    return this.#force('suspended');
  }

  stop(): Promise<void> {
    return this.#force('stopped');
  }

  /**
   * Stops the server and runs `work` on its files. Callers that need the server meanwhile wait for the end of the work;
   * with `yields`, they make the work's signal fire. The signal also fires at `close`. Rejects as `stop` and `work` do.
   */
  async whileStopped<T>(yields: boolean, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) throw new DormouseError(this.#closed);
    try {
      return await this.#files.run(yields, () => this.#force('stopped', false), work);
    } finally {
      this.#decide();
    }
  }

  async wake(): Promise<void> {
    (await this.hold(Deadline.in(this.#clock, WAKE_MS))).release();
  }

  /** Takes effect at once, in any state. */
  setRest(rest: RestSettings): void {
    if (rest.alwaysOn && !this.#idle.timer.settings.alwaysOn) this.#setAside = false;
    this.#idle.timer.change(rest);
    this.#decide();
  }

  /** The memory that the server takes now; undefined where that is not known. */
  memoryBytes(): Promise<number | undefined> {
    return this.#server.memoryBytes();
  }

  /**
   * Stops the server to free its memory, if it is suspended, not waited for and not always on. Returns true once it is
   * stopped; else false, at once.
   */
  async yieldMemory(): Promise<boolean> {
    if (this.#machine.state !== 'suspended' || this.#waiters.size > 0 || this.#idle.timer.settings.alwaysOn)
      return false;
    await this.#force('stopped', false);
    return true;
  }

  attach(attachment: Attachment): () => void {
    return this.#attachments.attach(attachment);
  }

  onChange(listener: (state: InstanceState, previous: InstanceState) => void): () => void {
    return this.#machine.onChange(listener);
  }

  /**
   * Takes over the server that an earlier platform left; true if that server goes on. Called before this controller
   * starts a server; callers that need the server meanwhile wait for the end of the adoption.
   */
  async adopt(): Promise<boolean> {
    assert(this.#machine.state === 'stopped' && !this.#adopting, 'adopted late');
    this.#adopting = true;
    try {
      const found = await this.#server.adopt();
      if (found === 'running') this.#machine.dispatch('adopted');
      // A server that still recovers is alive: it counts as a start under way, which goes on.
      else if (found === 'starting') this.#machine.dispatch('run');
      return found !== 'gone';
    } catch (error) {
      // A part of the server is alive and does not end. The next start proves that it is gone, or fails and says why.
      this.#logger.log('error', 'database is neither adopted nor ended', {
        database: this.databaseId,
        reason: String(error),
      });
      return false;
    } finally {
      this.#adopting = false;
      this.#decide();
    }
  }

  /** Stops for good: callers that wait, and all later callers, get `reason`. */
  async close(reason: CloseReason): Promise<void> {
    this.#closed ??= reason;
    this.#startBackoff.cancel();
    this.#restartBackoff.cancel();
    this.#waiters.refuse(new DormouseError(reason));
    this.#files.end(new DormouseError(reason));
    const calm = this.#work.hurry(reason);
    try {
      await this.#force('stopped');
    } finally {
      calm();
    }
  }

  #newHold(): Hold {
    this.#idle.used();
    return this.#holds.take();
  }

  #lastHoldReleased(): void {
    this.#idle.timer.used();
    if (this.#forced.size > 0) this.#decide();
    // The usual case after every query: the timer alone, no decision.
    else this.#idle.timer.arm(this.#machine.state);
  }

  #force(state: ForcedState, byHand = true): Promise<void> {
    const late = (): DormouseError | undefined => {
      if (this.#machine.state !== 'running' || this.#idle.settling) return undefined;
      // Callers that were kept waiting for the suspend are served now.
      queueMicrotask(() => this.#decide());
      return new DormouseError('database_busy');
    };
    const reached = this.#forced.add(state, byHand, state === 'stopped' ? undefined : { ms: DRAIN_MS, late });
    this.#decide();
    return reached;
  }

  #enter(state: InstanceState, previous: InstanceState): void {
    this.#idle.stateEnded();
    switch (state) {
      case 'starting':
        this.#begin(state, () => this.#work.start(() => this.#forced.has('stopped')));
        break;
      case 'running':
        this.#setAside = false;
        this.#restartBackoff.up();
        this.#idle.timer.used();
        this.#idle.used();
        if (previous === 'starting' || previous === 'stopped') this.#attachments.started();
        break;
      case 'suspending':
        this.#begin(state, (wanted) => this.#work.suspend(wanted));
        break;
      case 'waking':
        this.#begin(state, () => this.#work.wake());
        break;
      case 'stopping':
        this.#begin(state, () => this.#work.stop(previous, this.#closed));
        break;
      case 'suspended':
        this.#idle.timer.rested();
        break;
      case 'stopped':
      case 'failed':
        this.#holds.endGeneration();
        this.#attachments.stopped();
        break;
    }
  }

  #begin(state: TransientState, work: (wanted: () => boolean) => Promise<void>): void {
    this.#machine.begin(work, {
      done: () => {
        if (state === 'starting') {
          this.#startBackoff.succeeded();
          this.#failure = undefined;
        }
        this.#machine.dispatch('done');
      },
      failed: (thrown) => this.#fail(state, toDormouseError(thrown)),
    });
  }

  #fail(state: TransientState, error: DormouseError): void {
    this.#logger.log('error', `database failed while ${state}`, {
      database: this.databaseId,
      code: error.code,
      reason: String(error.cause ?? error.message),
    });
    if (state === 'suspending') {
      this.#idle.timer.failed();
      this.#forced.refuse('suspended', error);
    } else if (state !== 'waking') {
      this.#failure = error;
      this.#startBackoff.failed();
      this.#waiters.refuse(error);
      if (state === 'stopping') this.#forced.refuse('stopped', error);
    }
    this.#machine.dispatch('failed');
  }

  /**
   * Fulfils the orders that the state satisfies, and does the next step. Called after every change that bears on it.
   */
  #decide(): void {
    if (this.#machine.dispatching || this.#adopting) return;
    const { state } = this.#machine;
    if (this.#forced.reached(state)) this.#setAside = true;
    const step = nextStep(state, this.#situation());
    switch (step) {
      case 'run':
      case 'suspend':
      case 'stop':
        this.#machine.dispatch(step);
        break;
      case 'retry':
        if (this.#startBackoff.over(() => this.#decide())) this.#machine.dispatch('run');
        break;
      case 'restart':
        if (this.#restartBackoff.over(() => this.#decide())) this.#machine.dispatch('run');
        break;
      case 'serve':
        this.#waiters.serve(() => this.#newHold());
        break;
      case 'end-file-work':
        this.#files.yield(new DormouseError('database_busy'));
        break;
      case 'wait':
        break;
      default:
        this.#idle.do(step, state);
    }
  }

  #situation(): Situation {
    return {
      ...this.#idle.situation(this.#machine.state),
      forcedStop: this.#forced.has('stopped'),
      forcedSuspend: this.#forced.has('suspended'),
      waiters: this.#waiters.size > 0,
      holds: this.#holds.open > 0,
      sessions: this.#sessions.open > 0,
      keptOn: this.#idle.timer.settings.alwaysOn && !this.#setAside && this.#closed === undefined,
      fileWork: this.#files.running,
    };
  }
}
