import type { Clock, Logger, Timer } from '../../base/index.ts';
import type { Hold, Instance } from '../../instance/index.ts';
import type { ServerSocket } from '../../session/index.ts';

/** A statement that is cancelled ends at once, unless it catches the cancellation. */
const CANCELLED_MS = 2_000;
/** An idle backend ends as soon as it sees the end of its stream. */
const IDLE_MS = 1_000;
/**
 * The time until a backend is told again to end. It may not have heard the first time: the session that tells it may
 * not have been let in.
 */
const AGAIN_MS = 3_000;
/**
 * A backend that is not gone after this long will not go: it runs code that looks at no signal. Its server is stopped,
 * which ends in SIGKILL after 30 s, and starts again with the next query.
 */
const SERVER_STOP_MS = 120_000;

/** A backend whose connection is no longer used. */
export interface LeftBackend {
  readonly instance: Instance;
  /** The generation of the server that it belongs to. */
  readonly generation: number;
  readonly socket: ServerSocket;
  /** Undefined if the connection was left during its start-up. */
  readonly processId: number | undefined;
  /**
   * A statement or a transaction may be under way. It is cancelled, and the server is kept awake until it has ended.
   */
  readonly busy: boolean;
  /** A hold that goes over to the end of the backend; it is released when the process is gone. */
  readonly hold?: Hold | undefined;
  readonly cancel: () => Promise<void>;
  readonly clock: Clock;
  readonly log: Logger;
}

/**
 * Sees a backend to its end: resolves when its process is gone, or its server. The stream ends at once; the statement
 * that runs is cancelled, then the backend is terminated from another session, whatever it catches. Never rejects. A
 * server closes a stream only when the process of the stream ends, so the end of the stream is the proof.
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
  /** The monotonic time since which the server has been kept awake for this backend. */
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
    // Whatever the backend still sends is read and dropped: a backend that waits for its reader hears no cancel
    // request.
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

  /** Called when the backend should be gone: tells it again, or stops its server. */
  #look(): void {
    const { instance, generation, processId, clock } = this.#left;
    if (instance.generation !== generation) {
      this.#done();
      return;
    }
    if (!this.#holdOn()) {
      // The server is frozen, or about to be: nothing happens before the next thaw, and this backend is no reason for a
      // thaw.
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
