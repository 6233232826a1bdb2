import type { ChildProcess } from 'node:child_process';
import type { ProcessWorld } from '../confinement/index.ts';
import type { StopResult } from '../contract/index.ts';
import type { DatabaseLayout, Thaw } from '../machine/index.ts';
import { type LifelineWatch, lifelineHeld, type ProcessIdentity, signal, watchLifeline } from '../machine/index.ts';
import { findPostmaster, goneWithin, isNamespaceRoot, keeperOf, killHolders } from './leftover-processes.ts';

/** How long a clean stop waits for the backends, which end as soon as they can. */
const CLEAN_STOP_MS = 30_000;
/**
 * After that the checkpointer, alone, writes all dirty pages, at most shared_buffers. It may take this long: the
 * recovery after a harder stop would have to write them too.
 */
const WRITE_OUT_MS_MAX = 5 * 60_000;
/** The pause between two signals. A postmaster that is stopping ignores the same signal. */
const REPEAT_MS = 500;
/** How long an immediate stop may take, which writes nothing. */
const IMMEDIATE_STOP_MS = 5000;
/**
 * How long the children of a dead postmaster may take: they end by themselves within milliseconds, unless they are
 * frozen or compute.
 */
const ORPHAN_MS = 200;
/** How long the keeper of a sandbox may take to end after the server; it waits for nothing else. */
const KEEPER_MS = 2000;

/**
 * The processes of one server, started by this platform or an earlier one: which they are, whether they are alive,
 * their freeze and their end.
 */
export class ProcessTree {
  /** Called when the last process has ended; `meant` tells whether this platform ended it. */
  onGone: ((meant: boolean) => void) | undefined;
  readonly #name: string;
  readonly #layout: DatabaseLayout;
  readonly #world: ProcessWorld;
  #root: ProcessIdentity | undefined;
  /**
   * The parent of a sandbox's postmaster: it made the sandbox, waits for the sandbox's end, and holds nothing of the
   * server.
   */
  #keeper: ProcessIdentity | undefined;
  #life: LifelineWatch | undefined;
  /** Continues the processes; set while they are frozen. */
  #thaw: Thaw | undefined;
  /** The postmaster or its keeper, if this process is the parent. */
  #child: ChildProcess | undefined;
  /** True while this platform ends the server. */
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

  /** The lifeline that is watched, or was watched last. */
  get life(): LifelineWatch | undefined {
    return this.#life;
  }

  get frozen(): boolean {
    return this.#thaw !== undefined;
  }

  /** Whether `life` belongs to the present server, and this platform is not ending that. */
  goesOn(life: LifelineWatch | undefined): boolean {
    return this.lives(life) && !this.#ending;
  }

  /** Whether `life` belongs to the present server, which is alive. */
  lives(life: LifelineWatch | undefined): boolean {
    return this.#life === life && life?.ended === false;
  }

  /** Whether the pid still belongs to that process. */
  is(process: ProcessIdentity): boolean {
    return this.#world.table.identify(process.pid)?.startTime === process.startTime;
  }

  /** The postmaster. Throws if it is gone. */
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

  /** Notes the process that makes the sandbox, as soon as it exists. */
  keptBy(keeper: ProcessIdentity): void {
    this.#keeper = keeper;
  }

  /** Notes the postmaster of our own start; `child` is the postmaster or its keeper. */
  startedAs(root: ProcessIdentity, child: ChildProcess): void {
    this.#root = root;
    this.#child = child;
    this.#world.limits.started(this.#name, root);
  }

  /** Watches the server that an earlier platform started, if it is alive. */
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

  /** Does nothing if the server is not frozen or has died meanwhile. */
  thaw(): void {
    this.#thaw?.();
    this.#thaw = undefined;
  }

  /**
   * Whether this process is the parent and has not seen the exit: then the pid still belongs to that process. This is
   * known without a look into /proc, which a wake would have to wait for.
   */
  unreaped(): boolean {
    const child = this.#child;
    // A sandbox's keeper reaps the postmaster and ends at the same time.
    const ours = (this.#keeper ?? this.#root)?.pid;
    return child !== undefined && child.pid === ours && child.exitCode === null && child.signalCode === null;
  }

  /** From now on the end of the server is meant. */
  endMeant(): void {
    this.#ending = true;
  }

  /** Ends the server in the way asked for, and turns to stronger means until it is gone. */
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
      // The signal is repeated: process 1 of a pid namespace gets no signal before it has installed a handler, which a
      // postmaster that is just starting has not done.
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
   * Ends the children of a dead postmaster. They notice its death and end by themselves, but frozen children cannot,
   * and one that computes ends late.
   */
  async endOrphans(life: LifelineWatch): Promise<void> {
    if (!this.frozen && (await goneWithin(this.#world.clock, life, ORPHAN_MS))) return;
    await this.#kill(life);
  }

  /**
   * Waits for the end of the keeper, and kills it if need be. This is no part of the proof that the server is gone,
   * because the keeper holds nothing of it; but an ended server must leave no process.
   */
  async keeperGone(): Promise<void> {
    const { clock } = this.#world;
    const keeper = this.#keeper;
    if (keeper === undefined) return;
    // A keeper that was put into the server's group at the start is frozen with the server.
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
