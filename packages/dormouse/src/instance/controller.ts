import {
  assert,
  type Clock,
  type DatabaseId,
  Deadline,
  DormouseError,
  type Logger,
  type Timer,
  toDormouseError,
} from '../base/index.ts';
import { Backoff } from './backoff.ts';
import type { Attachment, Endpoint, Hold, Instance, InstanceState } from './instance.ts';
import type { Server } from './runtime.ts';
import { type InstanceEvent, TRANSITIONS, type TransientState } from './transitions.ts';
import { Waiters } from './waiters.ts';
import { type Rest, Wishes } from './wishes.ts';

/** When a database rests; each a flag of `dormouse start`. Infinity for never. */
export interface RestSettings {
  /** From the last activity to the freeze. */
  readonly suspendAfterMs: number;
  /** From the freeze to the clean stop. */
  readonly stopAfterMs: number;
}

export const DEFAULT_REST: RestSettings = { suspendAfterMs: 5000, stopAfterMs: 5 * 60_000 };

/** A start that recovers from a crash replays at most what `max_wal_size` lets pile up; a slow disk may need minutes. */
const START_MS_MAX = 5 * 60_000;
/** How long attachments may take for their first and last words. */
const LAST_WORDS_MS = 5000;
/** How long a forced suspend waits for queries that run. */
const DRAIN_MS = 10_000;
export interface ControllerOptions {
  readonly databaseId: DatabaseId;
  readonly server: Server;
  readonly rest: RestSettings;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Decides when one database's server runs. What it may do in which state is written in TRANSITIONS. */
export class Controller implements Instance {
  readonly databaseId: DatabaseId;
  readonly #server: Server;
  readonly #rest: RestSettings;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #attachments = new Set<Attachment>();
  readonly #listeners = new Set<(state: InstanceState, previous: InstanceState) => void>();
  readonly #waiters: Waiters;
  readonly #wishes: Wishes;
  readonly #backoff: Backoff;
  #state: InstanceState = 'stopped';
  #generation = 1;
  #holds = 0;
  #sessions = 0;
  #idleSinceMs: number;
  /** The one timer of rest: the next moment at which idleness is looked at. */
  #restTimer: Timer | undefined;
  #failure: DormouseError | undefined;
  /** Set once: no hold is given any more, and why. */
  #closed: 'shutting_down' | 'database_deleted' | undefined;
  /** Tells the report of what is under way from one that is overtaken. */
  #operation = 0;
  /** Servers that ended without our doing. */
  #exits = 0;
  #adopting = false;
  /** True while a change of state is told around: wishes that arise from it are looked at afterwards. */
  #dispatching = false;
  /** Whether attachments were told that the server is up. */
  #announced = false;

  constructor(options: ControllerOptions) {
    this.databaseId = options.databaseId;
    this.#server = options.server;
    this.#rest = options.rest;
    this.#clock = options.clock;
    this.#logger = options.logger;
    this.#idleSinceMs = options.clock.monotonic();
    // Who waited through a back-off in vain learns why.
    this.#waiters = new Waiters(options.clock, () =>
      this.#state === 'failed' && this.#failure ? this.#failure : new DormouseError('wake_timeout'),
    );
    this.#wishes = new Wishes(options.clock);
    this.#backoff = new Backoff(options.clock);
    this.#server.onExit = () => {
      this.#exits++;
      this.#dispatch('exited');
    };
  }

  get state(): InstanceState {
    return this.#state;
  }
  get failure(): DormouseError | undefined {
    return this.#failure;
  }
  get endpoint(): Endpoint {
    return this.#server.endpoint;
  }
  get generation(): number {
    return this.#generation;
  }
  /** Open holds, for tests and status. */
  get holds(): number {
    return this.#holds;
  }

  tryHold(): Hold | undefined {
    if (this.#state !== 'running' || this.#wishes.size > 0 || this.#closed !== undefined) return undefined;
    return this.#newHold();
  }

  async hold(deadline: Deadline): Promise<Hold> {
    if (this.#closed !== undefined) throw new DormouseError(this.#closed);
    const hold = this.tryHold();
    if (hold !== undefined) return hold;
    const waiting = this.#waiters.add(deadline);
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
        if (this.#sessions === 0) this.#armRest();
      },
    };
  }

  suspend(): Promise<void> {
    return this.#wishFor('suspended');
  }

  stop(): Promise<void> {
    return this.#wishFor('stopped');
  }

  async wake(): Promise<void> {
    (await this.hold(Deadline.in(this.#clock, START_MS_MAX))).release();
  }

  attach(attachment: Attachment): () => void {
    this.#attachments.add(attachment);
    if (this.#announced) attachment.started();
    return () => this.#attachments.delete(attachment);
  }

  onChange(listener: (state: InstanceState, previous: InstanceState) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Takes over what an earlier platform left. Before any server of ours; who asks meanwhile waits for it. */
  async adopt(): Promise<void> {
    assert(this.#state === 'stopped' && !this.#adopting, 'adopted late');
    this.#adopting = true;
    try {
      if ((await this.#server.adopt()) === 'running') this.#dispatch('adopted');
    } catch (error) {
      // Something of it is alive and does not end. The next start proves that it is gone, or fails and says why.
      this.#logger.log('error', 'database is neither adopted nor ended', {
        database: this.databaseId,
        reason: String(error),
      });
    } finally {
      this.#adopting = false;
      this.#settle();
    }
  }

  /** Stops for good: who waits and who comes later gets `reason`. */
  async close(reason: 'shutting_down' | 'database_deleted'): Promise<void> {
    this.#closed ??= reason;
    this.#backoff.cancel();
    this.#waiters.refuse(new DormouseError(reason));
    await this.#wishFor('stopped');
  }

  #newHold(): Hold {
    this.#holds++;
    let generation: number | undefined = this.#generation;
    return {
      release: () => {
        // Holds of a server that is gone went with it.
        if (generation !== this.#generation) return;
        generation = undefined;
        this.#holds--;
        if (this.#holds > 0) return;
        this.#idleSinceMs = this.#clock.monotonic();
        if (this.#wishes.size > 0) this.#settle();
        else if (this.#restTimer === undefined) this.#armRest();
      },
    };
  }

  #wishFor(rest: Rest): Promise<void> {
    const granted = this.#wishes.add(
      rest,
      rest === 'stopped'
        ? undefined
        : {
            ms: DRAIN_MS,
            late: () => {
              if (this.#state !== 'running') return undefined;
              // Those who were not let in for it come in now.
              queueMicrotask(() => this.#settle());
              return new DormouseError('database_busy');
            },
          },
    );
    this.#settle();
    return granted;
  }

  /** One event through the table: the only place where the state changes. */
  #dispatch(event: InstanceEvent): void {
    const previous = this.#state;
    const next = TRANSITIONS[previous][event];
    assert(next !== 'bug', `${event} in state ${previous}`);
    if (next === previous) return;
    assert(!this.#dispatching, `${event} while the last change was told around`);
    this.#dispatching = true;
    this.#state = next;
    this.#operation++;
    this.#restTimer?.cancel();
    this.#restTimer = undefined;
    this.#enter(next, previous);
    for (const listener of [...this.#listeners]) listener(next, previous);
    this.#dispatching = false;
    this.#settle();
  }

  #enter(state: InstanceState, previous: InstanceState): void {
    switch (state) {
      case 'starting':
        this.#begin(state, () => this.#startServer());
        break;
      case 'running':
        this.#idleSinceMs = this.#clock.monotonic();
        if (previous === 'starting' || previous === 'stopped') this.#announce();
        break;
      case 'suspending':
        this.#begin(state, () => this.#suspendServer());
        break;
      case 'waking':
        this.#begin(state, () => this.#server.wake());
        break;
      case 'stopping':
        this.#begin(state, () => this.#stopServer(previous));
        break;
      case 'suspended':
        this.#idleSinceMs = this.#clock.monotonic();
        break;
      case 'stopped':
      case 'failed':
        this.#buryServer();
        break;
    }
  }

  #begin(state: TransientState, operation: () => Promise<void>): void {
    const mine = this.#operation;
    operation().then(
      () => {
        if (this.#operation !== mine) return;
        if (state === 'starting') {
          this.#backoff.succeeded();
          this.#failure = undefined;
        }
        this.#dispatch('done');
      },
      (thrown: unknown) => {
        if (this.#operation === mine) this.#fail(state, toDormouseError(thrown));
      },
    );
  }

  #fail(state: TransientState, error: DormouseError): void {
    this.#logger.log('error', `database failed while ${state}`, {
      database: this.databaseId,
      code: error.code,
      reason: String(error.cause ?? error.message),
    });
    if (state === 'suspending') {
      this.#wishes.refuse('suspended', error);
    } else if (state !== 'waking') {
      this.#failure = error;
      this.#backoff.failed();
      this.#waiters.refuse(error);
      if (state === 'stopping') this.#wishes.refuse('stopped', error);
    }
    this.#dispatch('failed');
  }

  async #stopServer(previous: InstanceState): Promise<void> {
    // Last words need a server that moves.
    if (previous === 'suspended') await this.#server.wake().catch(() => {});
    if (this.#announced && previous !== 'waking') await this.#lastWords();
    await this.#server.stop(this.#closed === 'database_deleted' ? 'immediate' : 'clean');
  }

  /** Starts the server and lets attachments look at it before anybody else may. */
  async #startServer(): Promise<void> {
    const exits = this.#exits;
    await this.#server.start(Deadline.in(this.#clock, START_MS_MAX));
    await this.#tell((attachment) => attachment.preparing?.());
    // While it starts nothing else looks at an exit.
    if (this.#exits !== exits) throw new DormouseError('start_failed');
  }

  async #suspendServer(): Promise<void> {
    const mine = this.#operation;
    if (this.#announced) await this.#tell((attachment) => attachment.suspending?.());
    if (this.#operation === mine) await this.#server.suspend();
  }

  #lastWords(): Promise<void> {
    return this.#tell((attachment) => attachment.stopping());
  }

  /** Tells the attachments and waits for their answers, for a bounded time; one that fails only has nothing to add. */
  async #tell(word: (attachment: Attachment) => Promise<void> | undefined): Promise<void> {
    const answers = [...this.#attachments].flatMap((attachment) => word(attachment) ?? []);
    if (answers.length === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(LAST_WORDS_MS, resolve);
      void Promise.allSettled(answers).then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  #announce(): void {
    this.#announced = true;
    for (const attachment of [...this.#attachments]) attachment.started();
  }

  #buryServer(): void {
    this.#generation++;
    this.#holds = 0;
    if (!this.#announced) return;
    this.#announced = false;
    for (const attachment of [...this.#attachments]) attachment.stopped();
  }

  /** Looks at who wants what, and does the next thing. Called after every change of state and of wishes. */
  #settle(): void {
    if (this.#dispatching || this.#adopting) return;
    this.#grantWishes();
    switch (this.#state) {
      case 'running':
        if (this.#wishes.has('stopped')) this.#dispatch('stop');
        else if (this.#wishes.has('suspended')) {
          if (this.#holds === 0) this.#dispatch('suspend');
        } else {
          this.#waiters.serve(() => this.#newHold());
          if (this.#holds === 0) this.#armRest();
        }
        break;
      case 'suspended':
        if (this.#wishes.has('stopped')) this.#dispatch('stop');
        else if (this.#waiters.size > 0) this.#dispatch('run');
        else this.#armRest();
        break;
      case 'stopped':
        if (this.#waiters.size > 0) this.#dispatch('run');
        break;
      case 'failed':
        if (this.#wishes.has('stopped')) this.#dispatch('stop');
        else if (this.#waiters.size > 0 && this.#backoff.over(() => this.#settle())) this.#dispatch('run');
        break;
      default:
        // Something is under way; its end brings us here again.
        break;
    }
  }

  #grantWishes(): void {
    // A stopped database rests deeper than a suspended one; a failed one has nothing to freeze.
    if (this.#state === 'stopped') this.#wishes.grant('stopped');
    if (this.#state === 'stopped' || this.#state === 'suspended' || this.#state === 'failed') {
      this.#wishes.grant('suspended');
    }
  }

  /** Sets the timer to the next moment at which this state may end for idleness. */
  #armRest(): void {
    if (this.#restTimer !== undefined) return;
    const afterMs =
      this.#state === 'running'
        ? this.#rest.suspendAfterMs
        : this.#state === 'suspended'
          ? this.#rest.stopAfterMs
          : Number.POSITIVE_INFINITY;
    // Timers hold 2^31-1 ms; a rest of weeks is none.
    if (afterMs >= 2 ** 31) return;
    const leftMs = Math.max(0, this.#idleSinceMs + afterMs - this.#clock.monotonic());
    this.#restTimer = this.#clock.after(leftMs, () => {
      this.#restTimer = undefined;
      this.#lookAtRest();
    });
  }

  #lookAtRest(): void {
    const idleMs = this.#clock.monotonic() - this.#idleSinceMs;
    if (this.#state === 'running' && this.#holds === 0) {
      if (idleMs >= this.#rest.suspendAfterMs) this.#dispatch('suspend');
      else this.#armRest();
    } else if (this.#state === 'suspended' && this.#sessions === 0) {
      if (idleMs >= this.#rest.stopAfterMs) this.#dispatch('stop');
      else this.#armRest();
    }
  }
}
