import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { assert, type Clock, type Deadline, DormouseError, type Logger } from '../base/index.ts';
import { type Account, spawnIdentity } from './account.ts';
import type { Binaries } from './binaries.ts';
import { diskError, readIfPresent } from './files.ts';
import type { Freezer } from './freezer.ts';
import type { Endpoint } from './instance.ts';
import { keepAlive } from './keep-alive.ts';
import type { DatabaseLayout } from './layout.ts';
import { type LifelineWatch, lifelineHeld, makeLifeline, openLifeline, watchLifeline } from './lifeline.ts';
import { probe } from './probe.ts';
import { readRecord, removeRecord, writeRecord } from './process-record.ts';
import { type ProcessIdentity, type ProcessTable, signal } from './process-table.ts';
import type { Adoption, Server, StopResult } from './runtime.ts';
import { logSize, logTail, openLog, rotateLog } from './server-log.ts';
import { configure } from './template.ts';

/** What every server of one machine shares. */
export interface ProcessWorld {
  readonly account: Account;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly table: ProcessTable;
  readonly freezer: Freezer;
  binaries(pgMajor: number): Binaries;
}

/** A clean stop writes all dirty pages: at most shared_buffers, but the disk may be slow. */
export const CLEAN_STOP_MS = 30_000;
/** An immediate stop writes nothing. */
const IMMEDIATE_STOP_MS = 5000;
/** After SIGKILL only the kernel is left to wait for. */
const KILL_MS = 10_000;
/** When the postmaster has died its children end by themselves within milliseconds, unless frozen or computing. */
const ORPHAN_MS = 200;
/** An adopted server has this long to answer one query. */
const ADOPT_MS = 10_000;
/** How often an adopted postmaster, whose exit the kernel tells to others, is looked at. */
const ADOPTED_LOOK_MS = 1000;

/** PostgreSQL as a tree of processes on this machine. */
export class ProcessServer implements Server {
  readonly endpoint: Endpoint;
  onExit: (() => void) | undefined;
  readonly #name: string;
  readonly #pgMajor: number;
  readonly #layout: DatabaseLayout;
  readonly #world: ProcessWorld;
  /** The last operation: they are taken one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  #root: ProcessIdentity | undefined;
  #life: LifelineWatch | undefined;
  /** True while we end the server ourselves. */
  #ending = false;

  constructor(name: string, pgMajor: number, layout: DatabaseLayout, endpoint: Endpoint, world: ProcessWorld) {
    this.#name = name;
    this.#pgMajor = pgMajor;
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
      await rotateLog(this.#layout.log);
      await this.#world.freezer.freeze(root.pid);
    });
  }

  wake(): Promise<void> {
    return this.#exclusive(async () => this.#world.freezer.thaw(this.#alive().pid));
  }

  stop(how: 'clean' | 'immediate'): Promise<StopResult> {
    return this.#exclusive(() => this.#stop(how));
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

  async #start(deadline: Deadline): Promise<void> {
    assert(this.#life === undefined || this.#life.ended, 'started twice');
    const { clock, account } = this.#world;
    let logOffset = 0;
    let child: ChildProcess | undefined;
    try {
      const binaries = this.#world.binaries(this.#pgMajor);
      await this.#proveGone();
      await rotateLog(this.#layout.log);
      await configure(this.#layout.data, account);
      this.#clearTraces();
      const lifeline = openLifeline(this.#layout.lifeline);
      const log = openLog(this.#layout.log);
      logOffset = logSize(log);
      try {
        child = spawn(join(binaries.bin, 'postgres'), ['-D', this.#layout.data, '-c', `cluster_name=${this.#name}`], {
          ...spawnIdentity(account),
          // A session of its own: Ctrl-C does not reach it, and our death does not thaw it.
          detached: true,
          stdio: ['ignore', log, log, lifeline.writeFd],
          cwd: '/',
          env: { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' },
        });
      } finally {
        lifeline.closeWrite();
        closeSync(log);
        this.#watch(lifeline.watch());
      }
      await this.#follow(child, deadline, clock);
    } catch (error) {
      if (child?.pid !== undefined) await this.#stop('immediate');
      await removeRecord(this.#layout.record);
      throw this.#startError(error, logOffset);
    }
  }

  /** From the spawn to the first accepted connection. */
  async #follow(child: ChildProcess, deadline: Deadline, clock: Clock): Promise<void> {
    let failure: Error | undefined;
    child.on('error', (error) => {
      failure = error;
    });
    child.on('exit', (code, name) => {
      failure ??= new Error(`postgres ended with ${name ?? `exit code ${code}`}`);
      // Its children see it too, but frozen ones cannot act on it.
      if (!this.#ending) void this.#exclusive(() => this.#endOrphans());
    });
    child.unref();
    const { pid } = child;
    if (pid === undefined) {
      await new Promise((resolve) => setImmediate(resolve));
      throw failure ?? new Error('postgres was not spawned');
    }
    this.#world.freezer.enroll(this.#name, pid);
    const identity = this.#world.table.identify(pid);
    if (identity === undefined) throw failure ?? new Error('postgres ended at once');
    this.#root = identity;
    const recorded = writeRecord(this.#layout.record, { ...identity, bootId: this.#world.table.bootId });
    recorded.catch(() => {});
    const startedAtMs = clock.monotonic();
    while (!this.#ready(pid)) {
      if (failure !== undefined) throw failure;
      if (deadline.expired()) throw new Error('postgres was not ready in time');
      // A clean start takes some 15 ms, a recovery seconds.
      const lookMs = clock.monotonic() - startedAtMs < 100 ? 1 : 10;
      await new Promise<void>((resolve) => clock.after(lookMs, resolve));
    }
    await recorded;
  }

  /** The postmaster writes `ready` to the eighth line of its pid file once it accepts; the first line must be the one we spawned. */
  #ready(pid: number): boolean {
    try {
      const lines = readFileSync(join(this.#layout.data, 'postmaster.pid'), 'latin1').split('\n');
      return lines[0] === String(pid) && lines[7]?.trim() === 'ready';
    } catch {
      return false;
    }
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
      if (!lifelineHeld(this.#layout.lifeline)) return;
      this.#watch(watchLifeline(this.#layout.lifeline));
      this.#root = await this.#findRoot();
      await this.#stop('clean');
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

  /** After the proof: what an ended postmaster left would make the next one ask whether its pid is alive. */
  #clearTraces(): void {
    rmSync(join(this.#layout.data, 'postmaster.pid'), { force: true });
    for (const name of readdirSync(this.#layout.run)) rmSync(join(this.#layout.run, name), { force: true });
  }

  #watch(life: LifelineWatch): void {
    this.#life?.close();
    this.#life = life;
    this.#ending = false;
    void life.gone.then(() => {
      if (this.#life !== life) return;
      this.#root = undefined;
      this.#world.freezer.release(this.#name);
      if (!this.#ending) this.onExit?.();
    });
  }

  async #stop(how: 'clean' | 'immediate'): Promise<StopResult> {
    const life = this.#life;
    if (life === undefined || life.ended) return 'gone';
    this.#ending = true;
    const result = await this.#end(life, how);
    await removeRecord(this.#layout.record);
    if (result !== 'clean') {
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
      signal(root.pid, name);
      if (await this.#goneWithin(life, waitMs)) return result;
    }
    await this.#kill(life);
    return 'killed';
  }

  /** Ends every process that holds the lifeline, frozen or not. */
  async #kill(life: LifelineWatch): Promise<void> {
    const rounds = 10;
    for (let round = 0; round < rounds; round++) {
      for (const pid of this.#world.table.holders(this.#layout.lifeline)) {
        this.#world.freezer.thawForeign(pid);
        signal(pid, 'SIGKILL');
      }
      if (await this.#goneWithin(life, KILL_MS / rounds)) return;
    }
    throw new Error(`processes of ${this.#name} do not end, even by SIGKILL`);
  }

  async #endOrphans(): Promise<void> {
    const life = this.#life;
    if (life === undefined || life.ended || this.#ending) return;
    if (await this.#goneWithin(life, ORPHAN_MS)) return;
    await this.#kill(life);
  }

  #goneWithin(life: LifelineWatch, ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.#world.clock.after(ms, () => resolve(false));
      void life.gone.then(() => {
        timer.cancel();
        resolve(true);
      });
    });
  }

  /** The postmaster of a server that is alive: the recorded one if it is still that process, else the holder whose parent is none. */
  async #findRoot(): Promise<ProcessIdentity | undefined> {
    const { table } = this.#world;
    const record = await readRecord(this.#layout.record);
    if (record !== undefined && record.bootId === table.bootId) {
      const now = table.identify(record.pid);
      // In another pid namespace the same number may be another process: it must hold the lifeline too.
      if (now?.startTime === record.startTime && table.holds(record.pid, this.#layout.lifeline)) return now;
    }
    const holders = new Set(table.holders(this.#layout.lifeline));
    const roots = [...holders].filter((pid) => !holders.has(table.parent(pid) ?? 0));
    // Several: the postmaster is gone, and its children were given to init.
    return roots.length === 1 && roots[0] !== undefined ? table.identify(roots[0]) : undefined;
  }

  async #adopt(): Promise<Adoption> {
    try {
      if (!lifelineHeld(this.#layout.lifeline)) {
        await removeRecord(this.#layout.record);
        return 'gone';
      }
    } catch {
      // No lifeline: the next start says what is wrong.
      return 'gone';
    }
    this.#watch(watchLifeline(this.#layout.lifeline));
    this.#root = await this.#findRoot();
    const root = this.#root;
    if (root !== undefined) {
      this.#world.freezer.thawForeign(root.pid);
      if (await this.#proveHealthy()) {
        await writeRecord(this.#layout.record, { ...root, bootId: this.#world.table.bootId });
        this.#lookAfterAdopted(root);
        return 'running';
      }
    }
    await this.#stop('clean');
    return 'gone';
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
    this.#world.clock.after(ADOPTED_LOOK_MS, () => {
      if (this.#life !== life || life?.ended !== false) return;
      if (this.#world.table.identify(root.pid)?.startTime !== root.startTime) {
        if (!this.#ending) void this.#exclusive(() => this.#endOrphans());
        return;
      }
      this.#lookAfterAdopted(root);
    });
  }
}
