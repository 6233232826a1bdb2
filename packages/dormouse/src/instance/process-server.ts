import type { ChildProcess } from 'node:child_process';
import { chownSync, existsSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { assert, type Clock, type Deadline, DormouseError, type Logger, type Timer } from '../base/index.ts';
import type { Account } from './account.ts';
import type { Binaries } from './binaries.ts';
import { diskError, readIfPresent } from './files.ts';
import type { Freezer, Thaw } from './freezer.ts';
import type { Endpoint } from './instance.ts';
import { DATA_LOCKED_EXIT, type Isolation, lockFile } from './isolation.ts';
import { keepAlive } from './keep-alive.ts';
import type { DatabaseLayout } from './layout.ts';
import { type LifelineWatch, lifelineHeld, makeLifeline, watchLifeline } from './lifeline.ts';
import { probe } from './probe.ts';
import { treeBytes } from './process-memory.ts';
import { removeRecord, writeRecord } from './process-record.ts';
import { type ProcessIdentity, type ProcessTable, signal } from './process-table.ts';
import { findPostmaster, goneWithin, isNamespaceRoot, keeperOf, killHolders } from './remains.ts';
import type { Adoption, Server, StopResult } from './runtime.ts';
import { logTail, rotateLog } from './server-log.ts';
import { SOCKET_PORT } from './settings.ts';
import { type Spawned, spawnPostgres, untilConfined, untilReady } from './spawn-postgres.ts';
import { configure, dataMajor } from './template.ts';

/** What every server of one machine shares. */
export interface ProcessWorld {
  readonly account: Account;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly table: ProcessTable;
  readonly freezer: Freezer;
  /** Known once the machine is prepared. */
  readonly isolation: Isolation;
  binaries(pgMajor: number): Binaries;
}

/** A clean stop writes all dirty pages: at most shared_buffers, but the disk may be slow. */
export const CLEAN_STOP_MS = 30_000;
/** A stopping postmaster takes the same signal again for nothing. */
const REPEAT_MS = 500;
/** An immediate stop writes nothing. */
const IMMEDIATE_STOP_MS = 5000;
/** When the postmaster has died its children end by themselves within milliseconds, unless frozen or computing. */
const ORPHAN_MS = 200;
/** An adopted server has this long to answer one query. */
const ADOPT_MS = 10_000;
/** How often an adopted postmaster, whose exit the kernel tells to others, is looked at. */
const ADOPTED_LOOK_MS = 1000;
const ADOPTED_FROZEN_LOOK_MS = 10_000;

/** How often the log and the socket of a running server are looked at. */
const LOOK_MS = 10_000;
/** After a thaw, which might have been long, once this soon; not at once, since a query is waiting. */
const FIRST_LOOK_MS = 50;

/** The keeper of a sandbox ends when the server has; it waits for nothing else. */
const KEEPER_MS = 2000;

/** PostgreSQL as a tree of processes on this machine. */
export class ProcessServer implements Server {
  readonly endpoint: Endpoint;
  onExit: (() => void) | undefined;
  readonly #name: string;
  readonly #layout: DatabaseLayout;
  readonly #world: ProcessWorld;
  /** The last operation: they are taken one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #root: ProcessIdentity | undefined;
  /** The parent of a sandbox's postmaster: made the sandbox, waits for its end, holds nothing. */
  #keeper: ProcessIdentity | undefined;
  #life: LifelineWatch | undefined;
  /** The next look at log and socket; none while frozen. */
  #lookTimer: Timer | undefined;
  /** What continues it, while it is frozen. */
  #thaw: Thaw | undefined;
  /** The postmaster or its keeper, if we are the parent. */
  #child: ChildProcess | undefined;
  /** True while we end the server ourselves. */
  #ending = false;

  constructor(name: string, layout: DatabaseLayout, endpoint: Endpoint, world: ProcessWorld) {
    this.#name = name;
    this.#layout = layout;
    this.endpoint = endpoint;
    this.#world = world;
  }

  start(deadline: Deadline): Promise<void> {
    return this.#exclusive(() => this.#start(deadline));
  }

  suspend(): Promise<void> {
    return this.#exclusive(async () => {
      const root = this.#alive();
      this.#lookTimer?.cancel();
      await this.#cutLog();
      try {
        this.#thaw = await this.#world.freezer.freeze(this.#name, root.pid);
      } catch (error) {
        this.#lookAfter();
        throw error;
      }
    });
  }

  wake(): Promise<void> {
    return this.#exclusive(async () => {
      if (!this.#unreaped()) this.#alive();
      this.#thaw?.();
      this.#thaw = undefined;
      this.#lookAfter(FIRST_LOOK_MS);
    });
  }

  paused<T>(work: () => Promise<T>): Promise<T> {
    return this.#exclusive(async () => {
      const { pid } = this.#alive();
      this.#thaw = await this.#world.freezer.freeze(this.#name, pid);
      try {
        return await work();
      } finally {
        // None if it has died meanwhile.
        this.#thaw?.();
        this.#thaw = undefined;
      }
    });
  }

  stop(how: 'clean' | 'immediate'): Promise<StopResult> {
    return this.#exclusive(() => this.#stop(how));
  }

  async memoryBytes(): Promise<number | undefined> {
    const root = this.#root;
    return root && treeBytes(this.#world.table, root.pid);
  }

  adopt(): Promise<Adoption> {
    return this.#exclusive(() => this.#adopt());
  }

  #exclusive<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#last.then(() => keepAlive(operation));
    this.#last = result.catch(() => {});
    return result;
  }

  #alive(): ProcessIdentity {
    const root = this.#root;
    const now = root && this.#world.table.identify(root.pid);
    if (root === undefined || now?.startTime !== root.startTime) throw new Error('the server is gone');
    return root;
  }

  /** We are its parent and have not heard of its end, so its pid is its own: known without a look, which a wake would wait for. */
  #unreaped(): boolean {
    const child = this.#child;
    // A sandbox's keeper reaps it and ends in one go.
    const ours = (this.#keeper ?? this.#root)?.pid;
    return child !== undefined && child.pid === ours && child.exitCode === null && child.signalCode === null;
  }

  async #start(deadline: Deadline): Promise<void> {
    assert(this.#life === undefined || this.#life.ended, 'started twice');
    let logOffset = 0;
    try {
      const binaries = this.#world.binaries(dataMajor(this.#layout.data));
      await this.#proveGone();
      await this.#cutLog();
      this.#ensureRun();
      await configure(this.#layout.data, this.#world.account, binaries.major);
      const spawned = spawnPostgres(this.#name, this.#layout, binaries, this.#world);
      logOffset = spawned.logOffset;
      this.#watch(spawned.life);
      await this.#follow(spawned, deadline);
    } catch (error) {
      await this.#stop('immediate');
      throw this.#startError(error, logOffset);
    }
  }

  /** From the spawn to the first accepted connection. */
  async #follow({ child, life }: Spawned, deadline: Deadline): Promise<void> {
    const { table, clock, isolation } = this.#world;
    let failure: Error | undefined;
    child.on('error', (error) => {
      failure = error;
    });
    child.on('exit', (code, name) => {
      failure ??=
        code === DATA_LOCKED_EXIT
          ? this.#lockedError()
          : new Error(`postgres ended with ${name ?? `exit code ${code}`}`);
      const root = this.#life === life ? this.#root : undefined;
      // Somebody ended the keeper alone: the server goes on, and we hear of its end like any later platform.
      if (root !== undefined && root.pid !== child.pid && table.identify(root.pid)?.startTime === root.startTime) {
        this.#lookAfterAdopted(root);
      } else this.#postmasterDied(life);
    });
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    const { pid } = child;
    if (pid === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      throw failure ?? new Error('postgres was not spawned');
    }
    const spawned = table.identify(pid);
    if (spawned === undefined) {
      // Its end is known before the news of it, which says why.
      await exited;
      throw failure ?? new Error('postgres ended at once');
    }
    const wait = { clock, deadline, failure: () => failure };
    let root = spawned;
    if (isolation.kind === 'sandbox') {
      this.#keeper = spawned;
      root = await untilConfined(table, pid, wait);
    }
    this.#root = root;
    this.#child = child;
    // While it starts. Nobody connects before both are done.
    const recorded = writeRecord(this.#layout.record, { ...root, bootId: table.bootId });
    const innerPid = isolation.kind === 'sandbox' ? 1 : root.pid;
    await Promise.all([recorded, untilReady(innerPid, this.#layout, wait)]);
    this.#lookAfter();
  }

  #lockedError(): DormouseError {
    return new DormouseError('start_failed', {
      message: `Another Postgres has this data open: something holds the lock on ${lockFile(this.#layout)}, though nothing of it is on record. Find it (fuser ${lockFile(this.#layout)}), end it with SIGINT, and try again.`,
    });
  }

  #startError(error: unknown, logOffset: number): DormouseError {
    if (error instanceof DormouseError) return error;
    const tail = logTail(this.#layout.log, logOffset);
    if (/No space left on device|Disk quota exceeded/.test(tail))
      return new DormouseError('disk_full', { cause: error });
    const known = diskError(error, 'start_failed', this.#layout.directory);
    if (known.code === 'disk_full') return known;
    const detail = tail === '' ? (error as Error).message : tail;
    return new DormouseError('start_failed', {
      message: `Postgres does not start. The end of ${this.#layout.log} says:\n${detail}`,
      cause: error,
    });
  }

  /** Returns once no process of an earlier start is alive. Nothing else may start a server on this data. */
  async #proveGone(): Promise<void> {
    let kind: 'missing' | 'fifo' | 'other' = 'missing';
    try {
      kind = statSync(this.#layout.lifeline).isFIFO() ? 'fifo' : 'other';
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    if (kind === 'fifo') {
      if ((await this.#meetStranger()) !== undefined) await this.#stop('clean');
      return;
    }
    statSync(this.#layout.data);
    if (kind === 'missing' && (await readIfPresent(this.#layout.record)) === undefined) {
      // Restored from a copy that left it out: nothing was started here yet.
      await makeLifeline(this.#layout.lifeline);
      return;
    }
    throw new DormouseError('start_failed', {
      message: `${this.#layout.lifeline} is not the FIFO that it was, so nothing proves that no other Postgres runs on this data. Make sure that none does, remove that file and ${this.#layout.record}, and try again.`,
    });
  }

  #watch(life: LifelineWatch): void {
    this.#life?.close();
    this.#life = life;
    this.#keeper = undefined;
    this.#ending = false;
    this.#thaw = undefined;
    this.#child = undefined;
    void life.gone.then(async () => {
      await this.#keeperGone();
      if (this.#life !== life) return;
      this.#root = undefined;
      this.#lookTimer?.cancel();
      this.#world.freezer.release(this.#name);
      if (!this.#ending) this.onExit?.();
    });
  }

  /** Not a part of the proof: the keeper holds nothing of the server. But what is over leaves no process. */
  async #keeperGone(): Promise<void> {
    const { table, clock } = this.#world;
    const keeper = this.#keeper;
    if (keeper === undefined) return;
    const alive = (): boolean => table.identify(keeper.pid)?.startTime === keeper.startTime;
    const untilMs = clock.monotonic() + KEEPER_MS;
    while (alive() && clock.monotonic() < untilMs) await new Promise<void>((resolve) => clock.after(1, resolve));
    if (alive()) signal(keeper.pid, 'SIGKILL');
  }

  async #stop(how: 'clean' | 'immediate'): Promise<StopResult> {
    const life = this.#life ?? (await this.#meetStranger());
    if (life === undefined) return 'gone';
    this.#ending = true;
    const result = life.ended ? 'gone' : await this.#end(life, how);
    await this.#keeperGone();
    await removeRecord(this.#layout.record);
    if (result === 'gone') return result;
    // Ended at once where that was asked for, it did as told.
    if (result !== 'clean' && result !== how) {
      this.#world.logger.log('warn', 'postgres was not stopped cleanly; the next start recovers', {
        database: this.#name,
        result,
      });
    }
    return result;
  }

  async #end(life: LifelineWatch, how: 'clean' | 'immediate'): Promise<StopResult> {
    const steps = [
      ['clean', 'SIGINT', CLEAN_STOP_MS],
      ['immediate', 'SIGQUIT', IMMEDIATE_STOP_MS],
    ] as const;
    for (const [result, name, waitMs] of how === 'clean' ? steps : steps.slice(1)) {
      let root: ProcessIdentity;
      try {
        root = this.#alive();
      } catch {
        break;
      }
      this.#world.freezer.thawForeign(root.pid);
      // Again and again: process 1 of a namespace hears nothing before it listens, which one that is just starting does not yet.
      for (let waitedMs = 0; waitedMs < waitMs; waitedMs += REPEAT_MS) {
        if (this.#world.table.identify(root.pid)?.startTime === root.startTime) signal(root.pid, name);
        if (await this.#goneWithin(life, REPEAT_MS)) return result;
      }
    }
    await this.#kill(life);
    return 'killed';
  }

  /**
   * Its children see it too and end, but frozen ones cannot, and one that computes does so late. The news may come when another server
   * has taken its place already: that one is left alone.
   */
  #postmasterDied(life: LifelineWatch): void {
    this.#exclusive(async () => {
      if (this.#life !== life || life.ended || this.#ending) return;
      if (this.#thaw === undefined && (await this.#goneWithin(life, ORPHAN_MS))) return;
      await this.#kill(life);
    }).catch((error: unknown) => {
      // The next start proves that they are gone, or fails.
      this.#world.logger.log('error', 'orphans do not end', { database: this.#name, reason: String(error) });
    });
  }

  #goneWithin(life: LifelineWatch, ms: number): Promise<boolean> {
    return goneWithin(this.#world.clock, life, ms);
  }

  #kill(life: LifelineWatch): Promise<void> {
    return killHolders(this.#world.table, this.#world.freezer, this.#world.clock, this.#layout.lifeline, life);
  }

  /** Watches a server that an earlier platform started, if one is alive. */
  async #meetStranger(): Promise<LifelineWatch | undefined> {
    try {
      if (!lifelineHeld(this.#layout.lifeline)) return undefined;
    } catch {
      // No lifeline: the next start says what is wrong.
      return undefined;
    }
    const life = watchLifeline(this.#layout.lifeline);
    this.#watch(life);
    const { table } = this.#world;
    this.#root = await findPostmaster(table, this.#layout.record, this.#layout.lifeline);
    if (this.#root !== undefined && isNamespaceRoot(table, this.#root.pid)) {
      this.#keeper = keeperOf(table, this.#root.pid);
    }
    return life;
  }

  async #adopt(): Promise<Adoption> {
    if ((await this.#meetStranger()) === undefined) {
      await removeRecord(this.#layout.record);
      return 'gone';
    }
    const root = this.#root;
    if (root !== undefined) {
      this.#world.freezer.thawForeign(root.pid);
      if (await this.#proveHealthy()) {
        await writeRecord(this.#layout.record, { ...root, bootId: this.#world.table.bootId });
        this.#lookAfterAdopted(root);
        this.#lookAfter();
        return 'running';
      }
    }
    await this.#stop('clean');
    return 'gone';
  }

  /** A busy server that never rests must not fill the disk by what its tenant makes it log, nor stay when nobody can reach it. */
  #lookAfter(ms: number = LOOK_MS): void {
    this.#lookTimer?.cancel();
    const life = this.#life;
    this.#lookTimer = this.#world.clock.after(ms, () => {
      if (this.#life !== life || life?.ended !== false) return;
      void this.#cutLog();
      if (this.#reachable()) this.#lookAfter();
      else this.#endDeaf(life);
    });
  }

  #reachable(): boolean {
    return existsSync(join(this.#layout.run, `.s.PGSQL.${SOCKET_PORT}`));
  }

  /** Postgres does not make a lost socket anew. Ended without a stop of ours, it counts as crashed, and the next who needs it starts it. */
  #endDeaf(life: LifelineWatch): void {
    this.#exclusive(async () => {
      if (life.ended || this.#life !== life || this.#ending || this.#thaw !== undefined || this.#reachable()) return;
      this.#world.logger.log('warn', 'the socket of a server is gone; the server is ended', { database: this.#name });
      await this.#end(life, 'clean');
      await removeRecord(this.#layout.record);
    }).catch((error: unknown) => {
      this.#world.logger.log('error', 'a server without a socket does not end', {
        database: this.#name,
        reason: String(error),
      });
    });
  }

  /** Removed by somebody, it is made again: a start needs it. */
  #ensureRun(): void {
    const { run } = this.#layout;
    const { account } = this.#world;
    if (existsSync(run)) return;
    mkdirSync(run, { mode: 0o700 });
    if (account.dropped) chownSync(run, account.uid, account.gid);
  }

  async #cutLog(): Promise<void> {
    await rotateLog(this.#layout.log).catch((error: unknown) => {
      this.#world.logger.log('warn', 'a log cannot be cut', { database: this.#name, reason: String(error) });
    });
  }

  async #proveHealthy(): Promise<boolean> {
    const { clock } = this.#world;
    const untilMs = clock.monotonic() + ADOPT_MS;
    while (clock.monotonic() < untilMs && this.#life?.ended === false) {
      const said = await probe(this.endpoint, untilMs - clock.monotonic());
      if (said !== 'not-yet') return said === 'answers';
      await new Promise<void>((resolve) => clock.after(10, resolve));
    }
    return false;
  }

  /** We are not its parent: if the postmaster dies alone while its children are frozen or computing, nothing tells us. */
  #lookAfterAdopted(root: ProcessIdentity): void {
    const life = this.#life;
    // Frozen, it is in nobody's way: a wake finds out.
    this.#world.clock.after(this.#thaw ? ADOPTED_FROZEN_LOOK_MS : ADOPTED_LOOK_MS, () => {
      if (this.#life !== life || life?.ended !== false) return;
      if (this.#world.table.identify(root.pid)?.startTime !== root.startTime) {
        this.#postmasterDied(life);
        return;
      }
      this.#lookAfterAdopted(root);
    });
  }
}
