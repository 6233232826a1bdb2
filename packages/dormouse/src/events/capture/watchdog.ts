import type { Clock, Logger, Timer } from '../../base/index.ts';
import type { InstanceState } from '../../instance/index.ts';

/** With `wal_sender_timeout=0` nothing else notices a dead stream: each tick asks the server for a reply. */
const TICK_MS = 10_000;
/** Ticks without a byte while the server runs, after which the connection is given up. */
const SILENT_TICKS = 3;

export interface WatchdogOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly instance: { readonly state: InstanceState };
  readonly connection: { readonly received: number; destroy(): void };
  /** The socket is not read on purpose. */
  readonly paused: () => boolean;
  /** Asks the server for a reply. */
  readonly ask: () => void;
}

/** Destroys a connection that has been silent for too long while its server runs. */
export class Watchdog {
  readonly #options: WatchdogOptions;
  #timer: Timer | undefined;
  #silentTicks = 0;
  #received: number;
  /** The server is frozen, and no timer runs: a thousand frozen servers must cost nothing. */
  #asleep = false;
  #stopped = false;

  constructor(options: WatchdogOptions) {
    this.#options = options;
    this.#received = options.connection.received;
    this.#next();
  }

  /** The server runs again. */
  awake(): void {
    if (this.#asleep && !this.#stopped) this.#next();
  }

  stop(): void {
    this.#stopped = true;
    this.#timer?.cancel();
  }

  #next(): void {
    this.#asleep = false;
    this.#timer = this.#options.clock.after(TICK_MS, () => this.#tick());
  }

  #tick(): void {
    const { instance, connection, logger, paused, ask } = this.#options;
    if (instance.state === 'suspended') {
      this.#asleep = true;
      return;
    }
    const runs = instance.state === 'running';
    // A server that was frozen in between is silent by right: only ticks at which it runs count.
    this.#silentTicks = connection.received === this.#received && runs && !paused() ? this.#silentTicks + 1 : 0;
    this.#received = connection.received;
    if (this.#silentTicks >= SILENT_TICKS) {
      logger.log('warn', 'capture hears nothing from a running server', {});
      connection.destroy();
      return;
    }
    if (runs) ask();
    this.#next();
  }
}
