import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Timer } from '../../base/index.ts';
import type { ProcessWorld } from '../confinement/index.ts';
import type { DatabaseLayout, LifelineWatch, ProcessIdentity } from '../machine/index.ts';
import { rotateLog, SOCKET_PORT } from '../postgres/index.ts';
import type { ProcessTree } from './process-tree.ts';

/** How often the log and the socket of a running server are checked. */
const LOOK_MS = 10_000;
/**
 * After a thaw, which may follow a long freeze, the first check is this soon; not at once, because a query is waiting.
 */
const FIRST_LOOK_MS = 50;
/** How often an adopted postmaster is checked: the kernel reports its exit to another process. */
const ADOPTED_LOOK_MS = 1000;
const ADOPTED_FROZEN_LOOK_MS = 10_000;

/** What to call when a check has found something. */
export interface ServerWatchEvents {
  /** The server's socket is gone: no client can reach the server. */
  readonly onUnreachable: (life: LifelineWatch) => void;
  /** The server's postmaster has died. */
  readonly onDied: (life: LifelineWatch) => void;
}

/** Checks a server that is up now and then, for events that no process reports to us. */
export class ServerWatch {
  readonly #name: string;
  readonly #layout: DatabaseLayout;
  readonly #world: ProcessWorld;
  readonly #tree: ProcessTree;
  readonly #events: ServerWatchEvents;
  /** The next check of log and socket; none while the server is frozen. */
  #timer: Timer | undefined;

  constructor(name: string, layout: DatabaseLayout, world: ProcessWorld, tree: ProcessTree, events: ServerWatchEvents) {
    this.#name = name;
    this.#layout = layout;
    this.#world = world;
    this.#tree = tree;
    this.#events = events;
  }

  /**
   * A busy server that never rests must not fill the disk with what its tenant makes it log, and must not stay up when
   * no client can reach it.
   */
  begin(ms: number = LOOK_MS): void {
    this.#timer?.cancel();
    const { life } = this.#tree;
    this.#timer = this.#world.clock.after(ms, () => {
      if (life === undefined || !this.#tree.lives(life)) return;
      void this.cutLog();
      if (this.reachable()) this.begin();
      else this.#events.onUnreachable(life);
    });
  }

  beginAfterThaw(): void {
    this.begin(FIRST_LOOK_MS);
  }

  end(): void {
    this.#timer?.cancel();
  }

  /**
   * This process is not the parent of an adopted postmaster: if the postmaster dies alone while its children are frozen
   * or computing, nothing reports that.
   */
  beginAtAdopted(root: ProcessIdentity): void {
    const { life } = this.#tree;
    // A dead postmaster among frozen processes does no harm until the next wake, which notices.
    this.#world.clock.after(this.#tree.frozen ? ADOPTED_FROZEN_LOOK_MS : ADOPTED_LOOK_MS, () => {
      if (life === undefined || !this.#tree.lives(life)) return;
      if (this.#tree.is(root)) this.beginAtAdopted(root);
      else this.#events.onDied(life);
    });
  }

  reachable(): boolean {
    return existsSync(join(this.#layout.run, `.s.PGSQL.${SOCKET_PORT}`));
  }

  async cutLog(): Promise<void> {
    await rotateLog(this.#layout.log).catch((error: unknown) => {
      this.#world.logger.log('warn', 'a log cannot be cut', { database: this.#name, reason: String(error) });
    });
  }
}
