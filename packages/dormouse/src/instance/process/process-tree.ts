import type { ChildProcess } from 'node:child_process';
import type { ProcessWorld } from '../confinement/index.ts';
import type { StopResult } from '../contract/index.ts';
import type { DatabaseLayout, Thaw } from '../machine/index.ts';
import { type LifelineWatch, lifelineHeld, type ProcessIdentity, signal, watchLifeline } from '../machine/index.ts';
import { findPostmaster, goneWithin, isNamespaceRoot, keeperOf, killHolders } from './leftover-processes.ts';

/** A clean stop ends all backends, which each see to it as soon as they can. */
const CLEAN_STOP_MS = 30_000;
/**
 * Then the checkpointer, alone, writes all dirty pages: at most shared_buffers. The recovery that a harder stop brings
 * would write them too.
 */
const WRITE_OUT_MS_MAX = 5 * 60_000;
/** A stopping postmaster takes the same signal again for nothing. */
const REPEAT_MS = 500;
/** An immediate stop writes nothing. */
const IMMEDIATE_STOP_MS = 5000;
/** When the postmaster has died its children end by themselves within milliseconds, unless frozen or computing. */
const ORPHAN_MS = 200;
/** The keeper of a sandbox ends when the server has; it waits for nothing else. */
const KEEPER_MS = 2000;

/**
 * The processes of one server, of our start or of an earlier platform's: who they are, whether they live, their freeze
 * and their end.
 */
export class ProcessTree {
  /** Called when the last process has ended, with whether that was our doing. */
  onGone: ((meant: boolean) => void) | undefined;
  readonly #name: string;
  readonly #layout: DatabaseLayout;
  readonly #world: ProcessWorld;
  #root: ProcessIdentity | undefined;
  /** The parent of a sandbox's postmaster: made the sandbox, waits for its end, holds nothing. */
  #keeper: ProcessIdentity | undefined;
  #life: LifelineWatch | undefined;
  /** What continues it, while it is frozen. */
  #thaw: Thaw | undefined;
  /** The postmaster or its keeper, if we are the parent. */
  #child: ChildProcess | undefined;
  /** True while we end the server ourselves. */
  #ending = false;

  constructor(name: string, layout: DatabaseLayout, world: ProcessWorld) {
    this.#name = name;
    this.#layout = layout;
    this.#world = world;
  }

  /** The postmaster, as far as it is known. */
  get root(): ProcessIdentity | undefined {
    return this.#root;
  }

  /** The life that is watched, or was last. */
  get life(): LifelineWatch | undefined {
    return this.#life;
  }

  get frozen(): boolean {
    return this.#thaw !== undefined;
  }

  /** Whether `life` is that of the server that is there now, and nobody ends it. */
  goesOn(life: LifelineWatch | undefined): boolean {
    return this.lives(life) && !this.#ending;
  }

  /** Whether `life` is that of the server that is there now. */
  lives(life: LifelineWatch | undefined): boolean {
    return this.#life === life && life?.ended === false;
  }

  /** Whether a process is still the one that it was. */
  is(process: ProcessIdentity): boolean {
    return this.#world.table.identify(process.pid)?.startTime === process.startTime;
  }

  /** The postmaster; throws if it is gone. */
  alive(): ProcessIdentity {
    const root = this.#root;
    if (root === undefined || !this.is(root)) throw new Error('the server is gone');
    return root;
  }

  /** Begins with the processes of one start. */
  watch(life: LifelineWatch): void {
    this.#life?.close();
    this.#life = life;
    this.#keeper = undefined;
    this.#ending = false;
    this.#thaw = undefined;
    this.#child = undefined;
    void life.gone.then(async () => {
      await this.keeperGone();
      if (this.#life !== life) return;
      this.#root = undefined;
      this.#world.limits.ended(this.#name);
      this.#world.freezer.release(this.#name);
      this.onGone?.(this.#ending);
    });
  }

  /** Takes note of who makes the sandbox, as soon as it is there. */
  keptBy(keeper: ProcessIdentity): void {
    this.#keeper = keeper;
  }

  /** Takes note of the postmaster of our own start; `child` is it or its keeper. */
  startedAs(root: ProcessIdentity, child: ChildProcess): void {
    this.#root = root;
    this.#child = child;
    this.#world.limits.started(this.#name, root);
  }

  /** Watches a server that an earlier platform started, if one is alive. */
  async meetStranger(): Promise<LifelineWatch | undefined> {
    try {
      if (!lifelineHeld(this.#layout.lifeline)) return undefined;
    } catch {
      // No lifeline: the next start says what is wrong.
      return undefined;
    }
    const life = watchLifeline(this.#layout.lifeline);
    this.watch(life);
    const { table } = this.#world;
    this.#root = await findPostmaster(table, this.#layout.record, this.#layout.lifeline);
    if (this.#root !== undefined && isNamespaceRoot(table, this.#root.pid)) {
      this.#keeper = keeperOf(table, this.#root.pid);
    }
    return life;
  }

  /** Freezes every process. Rejects if the postmaster is gone or will not freeze. */
  async freeze(): Promise<void> {
    const { pid } = this.alive();
    this.#thaw = await this.#world.freezer.freeze(this.#name, pid);
  }

  /** Nothing, if it is not frozen or has died meanwhile. */
  thaw(): void {
    this.#thaw?.();
    this.#thaw = undefined;
  }

  /**
   * We are its parent and have not heard of its end, so its pid is its own: known without a look, which a wake would
   * wait for.
   */
  unreaped(): boolean {
    const child = this.#child;
    // A sandbox's keeper reaps it and ends in one go.
    const ours = (this.#keeper ?? this.#root)?.pid;
    return child !== undefined && child.pid === ours && child.exitCode === null && child.signalCode === null;
  }

  /** From here on its end is meant. */
  endMeant(): void {
    this.#ending = true;
  }

  /** Ends it as asked for, and as hard as it takes. */
  async end(life: LifelineWatch, how: 'clean' | 'immediate'): Promise<StopResult> {
    const steps = [
      ['clean', 'SIGINT', CLEAN_STOP_MS],
      ['immediate', 'SIGQUIT', IMMEDIATE_STOP_MS],
    ] as const;
    const { table } = this.#world;
    for (const [result, name, waitMs] of how === 'clean' ? steps : steps.slice(1)) {
      let root: ProcessIdentity;
      try {
        root = this.alive();
      } catch {
        break;
      }
      this.#world.freezer.thawForeign(root.pid);
      // Again and again: process 1 of a namespace hears nothing before it listens, which one that is just starting does
      // not yet.
      const writesOut = (): boolean => result === 'clean' && table.children(root.pid).length === 1;
      for (let waitedMs = 0; waitedMs < waitMs || (waitedMs < WRITE_OUT_MS_MAX && writesOut()); waitedMs += REPEAT_MS) {
        if (this.is(root)) signal(root.pid, name);
        if (await goneWithin(this.#world.clock, life, REPEAT_MS)) return result;
      }
    }
    await this.#kill(life);
    return 'killed';
  }

  /**
   * After the death of the postmaster: its children see it too and end, but frozen ones cannot, and one that computes
   * does so late.
   */
  async endOrphans(life: LifelineWatch): Promise<void> {
    if (!this.frozen && (await goneWithin(this.#world.clock, life, ORPHAN_MS))) return;
    await this.#kill(life);
  }

  /** Not a part of the proof: the keeper holds nothing of the server. But what is over leaves no process. */
  async keeperGone(): Promise<void> {
    const { clock } = this.#world;
    const keeper = this.#keeper;
    if (keeper === undefined) return;
    // In the group of the server from its start, it stands still with it.
    if (this.frozen && this.is(keeper)) this.#world.freezer.thawForeign(keeper.pid);
    const untilMs = clock.monotonic() + KEEPER_MS;
    while (this.is(keeper) && clock.monotonic() < untilMs) {
      await new Promise<void>((resolve) => clock.after(1, resolve));
    }
    if (this.is(keeper)) signal(keeper.pid, 'SIGKILL');
  }

  #kill(life: LifelineWatch): Promise<void> {
    return killHolders(this.#world.table, this.#world.freezer, this.#world.clock, this.#layout.lifeline, life);
  }
}
