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
import { OwnBackends } from '../administration/index.ts';
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
import { ForcedStates, type Rest } from './forced-states.ts';
import { Holds } from './holds.ts';
import { type IdleTasks, IdleTaskTurn } from './idle-tasks.ts';
import { IdleTimer, type RestSettings } from './idle-timer.ts';
import { nextStep } from './next-step.ts';
import { RestartBackoff } from './restart-backoff.ts';
import { ServerWork } from './server-work.ts';
import { Settling } from './settling.ts';
import { StateMachine } from './state-machine.ts';
import type { TransientState } from './transitions.ts';
import { Waiters } from './waiters.ts';

/** How long a forced wake waits: a recovery may take longer, and goes on. */
const WAKE_MS = 5 * 60_000;

/** How long a forced suspend waits for queries that run. */
const DRAIN_MS = 10_000;
/**
 * How long a stop waits for what attachments have under way and advance with; as long when the platform ends, whose own
 * end is waited for.
 */
const STOP_SETTLE_MS = 60_000;
const END_SETTLE_MS = 10_000;

export interface ControllerOptions {
  readonly databaseId: DatabaseId;
  readonly server: Server;
  readonly rest: RestSettings;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Done on the idle server before it is frozen for idleness. */
  readonly chores?: IdleTasks;
  /** Waited for before a start: others may have to go first. Never rejects. */
  readonly makeRoom?: () => Promise<void>;
}

/** Decides when one database's server runs. What it may do in which state is written in TRANSITIONS. */
export class Controller implements Instance {
  readonly databaseId: DatabaseId;
  readonly backends: Backends = new OwnBackends(() => this.endpoint);
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #attendants: Attachments;
  readonly #work: ServerWork;
  readonly #machine: StateMachine;
  readonly #waiters: Waiters;
  readonly #wishes: ForcedStates;
  readonly #backoff: Backoff;
  readonly #comeback: RestartBackoff;
  readonly #holds: Holds;
  readonly #rest: IdleTimer;
  readonly #chores: IdleTaskTurn;
  readonly #settling: Settling;
  /** Of the stop under way. */
  #hurry: AbortController | undefined;
  #sessions = 0;
  #failure: DormouseError | undefined;
  /** Set once: no hold is given any more, and why. */
  #closed: 'shutting_down' | 'database_deleted' | undefined;
  /** Somebody made it rest: always on or not, it waits for the next who needs it. */
  #setAside = false;
  #adopting = false;
  /** Work on the files of the stopped server: it does not start meanwhile. */
  readonly #files = new FileWork();

  constructor(options: ControllerOptions) {
    this.databaseId = options.databaseId;
    this.#server = options.server;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#machine = new StateMachine({
      enter: (state, previous) => this.#enter(state, previous),
      settled: () => this.#settle(),
    });
    this.#attendants = new Attachments(options.clock);
    const makeRoom = options.makeRoom ?? (async () => {});
    this.#work = new ServerWork(options.server, this.#attendants, options.clock, makeRoom);
    // Who waited through a back-off in vain learns why.
    this.#waiters = new Waiters(options.clock, () =>
      this.#machine.state === 'failed' && this.#failure ? this.#failure : new DormouseError('wake_timeout'),
    );
    this.#wishes = new ForcedStates(options.clock);
    this.#backoff = new Backoff(options.clock);
    this.#comeback = new RestartBackoff(options.clock);
    this.#holds = new Holds(() => this.#lastHoldReleased());
    this.#rest = new IdleTimer(options.clock, options.rest, () => this.#lookAtRest());
    this.#chores = new IdleTaskTurn(options.chores, () => this.#settle());
    this.#settling = new Settling(this.#attendants, () => this.#settle());
    this.#server.onExit = () => {
      this.#work.exited();
      this.#comeback.crashed();
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
  credentials(role: Role): Credentials {
    return this.#server.credentials(role);
  }
  get generation(): number {
    return this.#holds.generation;
  }
  /** For what the runtime does beside starting and stopping it; its life is the controller's. */
  get server(): Server {
    return this.#server;
  }
  /** Why no hold is given any more. */
  get closed(): 'shutting_down' | 'database_deleted' | undefined {
    return this.#closed;
  }
  /** Open holds, for tests and status. */
  get holds(): number {
    return this.#holds.open;
  }
  get rest(): RestSettings {
    return this.#rest.settings;
  }
  /** Monotonic: its last activity. */
  get usedAtMs(): number {
    return this.#rest.usedAtMs;
  }

  tryHold(): Hold | undefined {
    if (this.#machine.state !== 'running' || this.#wishes.size > 0 || this.#closed !== undefined) return undefined;
    return this.#newHold();
  }

  async hold(deadline: Deadline): Promise<Hold> {
    if (this.#closed !== undefined) throw new DormouseError(this.#closed);
    const hold = this.tryHold();
    if (hold !== undefined) return hold;
    const waiting = this.#waiters.add(deadline);
    this.#setAside = false;
    this.#settle();
    return waiting;
  }

  openSession(): Hold {
    this.#sessions++;
    let open = true;
    return {
      release: () => {
        if (!open) return;
        open = false;
        this.#sessions--;
        if (this.#sessions === 0) this.#rest.arm(this.#machine.state);
      },
    };
  }

  suspend(): Promise<void> {
    return this.#wishFor('suspended');
  }

  stop(): Promise<void> {
    return this.#wishFor('stopped');
  }

  /**
   * Stops the server and runs `work` on its files. Who needs the server meanwhile waits for the end of the work; where
   * it `yields`, the work's signal fires for them instead. It also fires at `close`. Rejects as `stop` and `work` do.
   */
  async whileStopped<T>(yields: boolean, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    if (this.#closed !== undefined) throw new DormouseError(this.#closed);
    try {
      return await this.#files.run(yields, () => this.#wishFor('stopped', false), work);
    } finally {
      this.#settle();
    }
  }

  async wake(): Promise<void> {
    (await this.hold(Deadline.in(this.#clock, WAKE_MS))).release();
  }

  /** Takes effect at once, in whatever state. */
  setRest(rest: RestSettings): void {
    if (rest.alwaysOn && !this.#rest.settings.alwaysOn) this.#setAside = false;
    this.#rest.change(rest);
    this.#settle();
  }

  /** What its server takes now; undefined where that is not known. */
  memoryBytes(): Promise<number | undefined> {
    return this.#server.memoryBytes();
  }

  /**
   * Stops it if it is suspended, nobody waits for it and it need not be on. Returns when it is stopped, or at once:
   * false.
   */
  async yieldMemory(): Promise<boolean> {
    if (this.#machine.state !== 'suspended' || this.#waiters.size > 0 || this.#rest.settings.alwaysOn) return false;
    await this.#wishFor('stopped', false);
    return true;
  }

  attach(attachment: Attachment): () => void {
    return this.#attendants.attach(attachment);
  }

  onChange(listener: (state: InstanceState, previous: InstanceState) => void): () => void {
    return this.#machine.onChange(listener);
  }

  /**
   * Takes over what an earlier platform left; gives whether that goes on. Before any server of ours; who asks meanwhile
   * waits for it.
   */
  async adopt(): Promise<boolean> {
    assert(this.#machine.state === 'stopped' && !this.#adopting, 'adopted late');
    this.#adopting = true;
    try {
      const found = await this.#server.adopt();
      if (found === 'running') this.#machine.dispatch('adopted');
      // It is alive: it counts as such, and what it was started for goes on.
      else if (found === 'starting') this.#machine.dispatch('run');
      return found !== 'gone';
    } catch (error) {
      // Something of it is alive and does not end. The next start proves that it is gone, or fails and says why.
      this.#logger.log('error', 'database is neither adopted nor ended', {
        database: this.databaseId,
        reason: String(error),
      });
      return false;
    } finally {
      this.#adopting = false;
      this.#settle();
    }
  }

  /** Stops for good: who waits and who comes later gets `reason`. */
  async close(reason: 'shutting_down' | 'database_deleted'): Promise<void> {
    this.#closed ??= reason;
    this.#backoff.cancel();
    this.#comeback.cancel();
    this.#waiters.refuse(new DormouseError(reason));
    this.#files.end(new DormouseError(reason));
    const hurry = this.#hurry;
    if (reason === 'database_deleted') hurry?.abort();
    const timer = this.#clock.after(END_SETTLE_MS, () => hurry?.abort());
    try {
      await this.#wishFor('stopped');
    } finally {
      timer.cancel();
    }
  }

  /** It is on for its own sake. */
  get #kept(): boolean {
    return this.#rest.settings.alwaysOn && !this.#setAside && this.#closed === undefined;
  }

  #newHold(): Hold {
    if (this.#chores.busy) this.#chores.giveUp();
    this.#settling.used();
    return this.#holds.take();
  }

  #lastHoldReleased(): void {
    this.#rest.used();
    if (this.#wishes.size > 0) this.#settle();
    else this.#rest.arm(this.#machine.state);
  }

  #wishFor(rest: Rest, byHand = true): Promise<void> {
    const granted = this.#wishes.add(
      rest,
      byHand,
      rest === 'stopped'
        ? undefined
        : {
            ms: DRAIN_MS,
            late: () => {
              if (this.#machine.state !== 'running' || this.#settling.busy) return undefined;
              // Those who were not let in for it come in now.
              queueMicrotask(() => this.#settle());
              return new DormouseError('database_busy');
            },
          },
    );
    this.#settle();
    return granted;
  }

  #enter(state: InstanceState, previous: InstanceState): void {
    this.#rest.cancel();
    this.#chores.giveUp();
    this.#settling.giveUp();
    switch (state) {
      case 'starting':
        this.#begin(state, () => this.#work.start(() => this.#wishes.has('stopped')));
        break;
      case 'running':
        this.#setAside = false;
        this.#comeback.up();
        this.#rest.used();
        this.#settling.used();
        if (previous === 'starting' || previous === 'stopped') this.#attendants.announce();
        break;
      case 'suspending':
        this.#begin(state, (wanted) => this.#work.suspend(wanted));
        break;
      case 'waking':
        this.#begin(state, () => this.#work.wake());
        break;
      case 'stopping':
        this.#begin(state, () => this.#stop(previous));
        break;
      case 'suspended':
        this.#rest.rested();
        break;
      case 'stopped':
      case 'failed':
        this.#holds.endGeneration();
        this.#attendants.bury();
        break;
    }
  }

  async #stop(previous: InstanceState): Promise<void> {
    const hurry = new AbortController();
    this.#hurry = hurry;
    const withinMs = this.#closed === 'shutting_down' ? END_SETTLE_MS : STOP_SETTLE_MS;
    const timer = this.#clock.after(withinMs, () => hurry.abort());
    try {
      await this.#work.stop(previous, this.#closed === 'database_deleted' ? 'immediate' : 'clean', hurry.signal);
    } finally {
      timer.cancel();
    }
  }

  #begin(state: TransientState, work: (wanted: () => boolean) => Promise<void>): void {
    this.#machine.begin(work, {
      done: () => {
        if (state === 'starting') {
          this.#backoff.succeeded();
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
      this.#rest.failed();
      this.#wishes.refuse('suspended', error);
    } else if (state !== 'waking') {
      this.#failure = error;
      this.#backoff.failed();
      this.#waiters.refuse(error);
      if (state === 'stopping') this.#wishes.refuse('stopped', error);
    }
    this.#machine.dispatch('failed');
  }

  /** Looks at who wants what, and does the next thing. Called after every change of state and of wishes. */
  #settle(): void {
    if (this.#machine.dispatching || this.#adopting) return;
    this.#grantWishes();
    const step = nextStep(this.#machine.state, {
      stop: this.#wishes.has('stopped'),
      suspend: this.#wishes.has('suspended'),
      waiters: this.#waiters.size > 0,
      holds: this.#holds.open > 0,
      chores: this.#chores.busy,
      settled: this.#settling.done,
      settling: this.#settling.busy,
      kept: this.#kept,
      files: this.#files.busy,
    });
    switch (step) {
      case 'run':
      case 'suspend':
      case 'stop':
        this.#machine.dispatch(step);
        break;
      case 'retry':
        if (this.#backoff.over(() => this.#settle())) this.#machine.dispatch('run');
        break;
      case 'come-back':
        if (this.#comeback.due(() => this.#settle())) this.#machine.dispatch('run');
        break;
      case 'serve':
        this.#waiters.serve(() => this.#newHold());
        if (this.#holds.open === 0) this.#rest.arm('running');
        break;
      case 'rest':
        this.#rest.arm(this.#machine.state);
        break;
      case 'settle':
        this.#settling.begin();
        break;
      case 'end-chores':
        this.#chores.giveUp();
        break;
      case 'end-settling':
        this.#settling.giveUp();
        break;
      case 'end-files':
        this.#files.yield(new DormouseError('database_busy'));
        break;
      case 'wait':
        break;
    }
  }

  #grantWishes(): void {
    // A stopped database rests deeper than a suspended one; a failed one has nothing to freeze.
    if (this.#machine.state === 'stopped' && this.#wishes.grant('stopped')) this.#setAside = true;
    if (this.#machine.state === 'stopped' || this.#machine.state === 'suspended' || this.#machine.state === 'failed') {
      if (this.#wishes.grant('suspended')) this.#setAside = true;
    }
  }

  #lookAtRest(): void {
    const state = this.#machine.state;
    const busy = this.#holds.open > 0 || this.#chores.busy || this.#settling.busy;
    if (state === 'running' ? busy : this.#sessions > 0) return;
    if (!this.#rest.over(state)) this.#rest.arm(state);
    else if (state === 'suspended') this.#machine.dispatch('stop');
    else if (state === 'running' && !this.#chores.begin() && !this.#settling.begin()) this.#machine.dispatch('suspend');
  }
}
