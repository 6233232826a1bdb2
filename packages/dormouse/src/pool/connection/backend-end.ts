import type { Clock, Logger, Timer } from '../../base/index.ts';
import type { Hold, Instance } from '../../instance/index.ts';
import type { ServerSocket } from '../../session/index.ts';

/** What is cancelled ends at once, unless it catches that. */
const CANCELLED_MS = 2_000;
/** An idle backend ends as soon as it sees the end of its stream. */
const IDLE_MS = 1_000;
/** Until a backend is told again to end, which it may not have heard: our session was not let in. */
const AGAIN_MS = 3_000;
/**
 * What is not gone after this long will not go: it is in code that looks at no signal. Its server is stopped, which
 * ends in SIGKILL after 30 s, and starts again with the next query.
 */
const SERVER_STOP_MS = 120_000;

/** A server connection that nobody uses any more. */
export interface LeftBackend {
  readonly instance: Instance;
  /** The life of the server that it belongs to. */
  readonly generation: number;
  readonly socket: ServerSocket;
  /** Undefined if it was left before its start was over. */
  readonly processId: number | undefined;
  /** A statement or a transaction may be under way: it is cancelled, and the server kept awake until it has ended. */
  readonly busy: boolean;
  /** Passed on: released when the process is gone. */
  readonly hold?: Hold | undefined;
  readonly cancel: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Sees a server connection to its end: resolves when its process is gone, or its server. The stream ends at once; what
 * runs is cancelled, then terminated from outside, whatever it catches. Never rejects. A server closes a stream only by
 * the end of its process, so the end of the stream is the proof.
 */
export function endBackend(left: LeftBackend): Promise<void> {
  return new Promise((resolve) => new BackendEnd(left, resolve).begin());
}

class BackendEnd {
  readonly #left: LeftBackend;
  readonly #resolve: () => void;
  readonly #leftAtMs: number;
  #hold: Hold | undefined;
  #timer: Timer | undefined;
  #unwatch: (() => void) | undefined;
  /** Since when the server has been awake for it. */
  #awakeAtMs: number | undefined;
  #gone = false;

  constructor(left: LeftBackend, resolve: () => void) {
    this.#left = left;
    this.#resolve = resolve;
    this.#hold = left.hold;
    this.#leftAtMs = left.clock.monotonic();
  }

  begin(): void {
    const { socket, busy, cancel, instance, generation } = this.#left;
    if (socket.destroyed || socket.readableEnded || instance.generation !== generation) {
      this.#done();
      return;
    }
    const done = (): void => this.#done();
    socket.on('end', done);
    socket.on('close', done);
    socket.on('error', done);
    // What it still says is read and forgotten: a backend that waits for its reader hears no cancel.
    const forget = (): void => {};
    socket.on('data', forget);
    socket.readTo?.(forget);
    socket.resume();
    socket.end();
    if (busy) {
      this.#holdOn();
      void cancel();
    }
    this.#later(busy ? CANCELLED_MS : IDLE_MS);
  }

  #later(ms: number): void {
    this.#timer = this.#left.clock.after(ms, () => this.#look());
  }

  /** It should be gone by now. */
  #look(): void {
    const { instance, generation, processId, clock } = this.#left;
    if (instance.generation !== generation) {
      this.#done();
      return;
    }
    if (!this.#holdOn()) {
      // Frozen, or about to be: nothing happens before the next thaw, for which this is no reason.
      if (instance.state === 'running') this.#later(IDLE_MS);
      else this.#wait();
      return;
    }
    const { backends } = instance;
    const told =
      processId === undefined
        ? backends.terminateStarting(clock.monotonic() - this.#leftAtMs)
        : backends.terminate(processId);
    void told.then(() => {
      if (this.#gone) return;
      if (clock.monotonic() - (this.#awakeAtMs ?? 0) < SERVER_STOP_MS) this.#later(AGAIN_MS);
      else this.#stopServer();
    });
  }

  #holdOn(): boolean {
    this.#hold ??= this.#left.instance.tryHold();
    if (this.#hold !== undefined) this.#awakeAtMs ??= this.#left.clock.monotonic();
    return this.#hold !== undefined;
  }

  #wait(): void {
    this.#unwatch ??= this.#left.instance.onChange((state) => {
      if (this.#left.instance.generation !== this.#left.generation) {
        this.#done();
      } else if (state === 'running') {
        this.#unwatch?.();
        this.#unwatch = undefined;
        this.#later(IDLE_MS);
      }
    });
  }

  #stopServer(): void {
    const { instance, log, processId } = this.#left;
    log.log('error', 'a server is stopped: a connection that was left does not end', {
      database: instance.databaseId,
      processId: processId ?? 0,
    });
    this.#wait();
    instance.stop().catch((error: unknown) => {
      log.log('error', 'the server did not stop', { database: instance.databaseId, reason: String(error) });
      if (!this.#gone) this.#later(SERVER_STOP_MS);
    });
  }

  #done(): void {
    if (this.#gone) return;
    this.#gone = true;
    this.#timer?.cancel();
    this.#unwatch?.();
    this.#hold?.release();
    this.#left.socket.destroy();
    this.#resolve();
  }
}
