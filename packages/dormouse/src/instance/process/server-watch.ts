import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Timer } from '../../base/index.ts';
import type { ProcessWorld } from '../confinement/index.ts';
import type { DatabaseLayout, LifelineWatch, ProcessIdentity } from '../machine/index.ts';
import { rotateLog, SOCKET_PORT } from '../postgres/index.ts';
import type { ProcessTree } from './process-tree.ts';

/** How often the log and the socket of a running server are looked at. */
const LOOK_MS = 10_000;
/** After a thaw, which might have been long, once this soon; not at once, since a query is waiting. */
const FIRST_LOOK_MS = 50;
/** How often an adopted postmaster, whose exit the kernel tells to others, is looked at. */
const ADOPTED_LOOK_MS = 1000;
const ADOPTED_FROZEN_LOOK_MS = 10_000;

/** What is told of what was seen. */
export interface ServerNews {
  /** Its socket is gone: nobody can reach it. */
  readonly onDeaf: (life: LifelineWatch) => void;
  /** Its postmaster has died. */
  readonly onDied: (life: LifelineWatch) => void;
}

/** Looks now and then at a server that is up, for what nobody tells us. */
export class ServerWatch {
  readonly #name: string;
  readonly #layout: DatabaseLayout;
  readonly #world: ProcessWorld;
  readonly #tree: ProcessTree;
  readonly #news: ServerNews;
  /** The next look at log and socket; none while frozen. */
  #timer: Timer | undefined;

  constructor(name: string, layout: DatabaseLayout, world: ProcessWorld, tree: ProcessTree, news: ServerNews) {
    this.#name = name;
    this.#layout = layout;
    this.#world = world;
    this.#tree = tree;
    this.#news = news;
  }

  /**
   * A busy server that never rests must not fill the disk by what its tenant makes it log, nor stay when nobody can
   * reach it.
   */
  begin(ms: number = LOOK_MS): void {
    this.#timer?.cancel();
    const { life } = this.#tree;
    this.#timer = this.#world.clock.after(ms, () => {
      if (life === undefined || !this.#tree.lives(life)) return;
      void this.cutLog();
      if (this.reachable()) this.begin();
      else this.#news.onDeaf(life);
    });
  }

  beginAfterThaw(): void {
    this.begin(FIRST_LOOK_MS);
  }

  end(): void {
    this.#timer?.cancel();
  }

  /**
   * We are not its parent: if the postmaster dies alone while its children are frozen or computing, nothing tells us.
   */
  beginAtAdopted(root: ProcessIdentity): void {
    const { life } = this.#tree;
    // Frozen, it is in nobody's way: a wake finds out.
    this.#world.clock.after(this.#tree.frozen ? ADOPTED_FROZEN_LOOK_MS : ADOPTED_LOOK_MS, () => {
      if (life === undefined || !this.#tree.lives(life)) return;
      if (this.#tree.is(root)) this.beginAtAdopted(root);
      else this.#news.onDied(life);
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
