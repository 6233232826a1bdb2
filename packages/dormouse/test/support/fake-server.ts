import { type Clock, type Deadline, DormouseError, type Role } from '../../src/base/index.ts';
import type { Adoption, Server, StopResult } from '../../src/instance/contract/server.ts';
import type { Backends, Credentials, Endpoint } from '../../src/instance/index.ts';

/** How the next operations go. */
export interface FakePlan {
  startMs: number;
  otherMs: number;
  startFails: boolean;
  suspendFails: boolean;
  wakeFails: boolean;
}

/** How often one that starts for long looks whether it still should. */
const LOOK_MS = 1000;

/**
 * A server that is only a state and a clock. It throws on what the contract of a runtime's user forbids, so a
 * controller that asks for it fails the test.
 */
export class FakeServer implements Server {
  readonly endpoint: Endpoint = { kind: 'tcp', host: 'fake', port: 1 };
  readonly backends: Backends = {
    terminate: async () => {},
    terminateStarting: async () => {},
    stateOf: async () => undefined,
  };
  onExit: (() => void) | undefined;
  readonly plan: FakePlan = { startMs: 20, otherMs: 1, startFails: false, suspendFails: false, wakeFails: false };
  /** The true state of the server. */
  actual: 'down' | 'up' | 'frozen' = 'down';
  starts = 0;
  violations: string[] = [];
  adoptable: boolean | 'starting' = false;
  readonly #clock: Clock;
  #last: Promise<unknown> = Promise.resolve();

  credentials(user: Role): Credentials {
    return { user, database: 'postgres' };
  }

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Ends the server without a command, as a crash does. */
  crash(): void {
    if (this.actual === 'down') return;
    this.actual = 'down';
    this.onExit?.();
  }

  start(_deadline: Deadline, givenUp: () => boolean): Promise<void> {
    return this.#exclusive(Math.min(this.plan.startMs, LOOK_MS), async () => {
      for (let leftMs = this.plan.startMs - LOOK_MS; leftMs > 0; leftMs -= LOOK_MS) {
        if (givenUp()) throw new DormouseError('start_failed');
        await new Promise<void>((resolve) => this.#clock.after(Math.min(leftMs, LOOK_MS), resolve));
      }
      this.starts++;
      if (this.actual !== 'down') this.violations.push(`start while ${this.actual}`);
      if (this.plan.startFails) throw new DormouseError('start_failed');
      this.actual = 'up';
    });
  }

  suspend(): Promise<void> {
    return this.#exclusive(this.plan.otherMs, () => {
      // A server that dies while it is being frozen no longer runs either.
      if (this.actual === 'down') return;
      if (this.actual === 'frozen') this.violations.push('suspend while frozen');
      if (this.plan.suspendFails) throw new Error('does not freeze');
      this.actual = 'frozen';
    });
  }

  async paused<T>(work: () => Promise<T>): Promise<T> {
    if (this.actual !== 'up') this.violations.push(`paused while ${this.actual}`);
    return work();
  }

  wake(): Promise<void> {
    return this.#exclusive(this.plan.otherMs, () => {
      if (this.actual === 'down') throw new Error('gone');
      if (this.plan.wakeFails) throw new Error('does not thaw');
      this.actual = 'up';
    });
  }

  stop(): Promise<StopResult> {
    return this.#exclusive(this.plan.otherMs, () => {
      if (this.actual === 'down') return 'gone';
      this.actual = 'down';
      return 'clean';
    });
  }

  async memoryBytes(): Promise<number | undefined> {
    return this.actual === 'down' ? undefined : 8 * 1024 * 1024;
  }

  adopt(): Promise<Adoption> {
    return this.#exclusive(this.plan.otherMs, () => {
      if (!this.adoptable) return 'gone';
      if (this.adoptable === 'starting') return 'starting';
      this.actual = 'up';
      return 'running';
    });
  }

  #exclusive<T>(ms: number, operation: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(async () => {
      await new Promise<void>((resolve) => this.#clock.after(ms, resolve));
      return operation();
    });
    this.#last = result.catch(() => {});
    return result;
  }
}
