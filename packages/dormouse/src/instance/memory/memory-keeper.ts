import type { Clock, DatabaseId, Logger, Timer } from '../../base/index.ts';
import type { InstanceState, MachineMemory } from '../contract/index.ts';
import { chooseVictims } from './victims.ts';

/**
 * A server that was not measured yet counts as much. Measured: 16 MB alone, 8 beside a hundred that share its binary.
 */
export const ASSUMED_BYTES: number = 12 * 1024 * 1024;
/**
 * By default databases may take so much of the machine's memory: the rest is for the platform, file caches and others.
 */
const DEFAULT_SHARE = 0.7;
/**
 * Over the mark as much is freed as brings it down to this share of it, so that the next start finds room without
 * waiting.
 */
const LOW_WATER = 0.9;
/** The machine is short of memory when less than this share of it is available, or this much. */
const SCARCE_SHARE = 0.05;
const SCARCE_BYTES_MAX = 512 * 1024 * 1024;
/** So often the machine is looked at while anything is up. */
const LOOK_MS = 10_000;
/** What was measured holds for so long: to measure one server takes 3 ms of a CPU, in the kernel. */
const MEASURED_FOR_MS = 60_000;
/** Running servers measured in one look, those measured longest ago. */
const MEASURED_A_LOOK_MAX = 10;
/** Stopped at the same time: each writes its last pages. */
const TOGETHER = 4;
/** A start waits so long for room; then it goes on as if there were. */
const MAKE_ROOM_MS = 2000;
/** The complaint that nothing can be stopped is not repeated sooner. */
const COMPLAIN_MS = 60_000;

/** What the keeper needs of a database: its controller. */
export interface Member {
  readonly databaseId: DatabaseId;
  readonly state: InstanceState;
  readonly rest: { readonly alwaysOn: boolean };
  /** Monotonic. */
  readonly usedAtMs: number;
  /** What its server takes now. Undefined where that is not known. */
  memoryBytes(): Promise<number | undefined>;
  yieldMemory(): Promise<boolean>;
}

export interface MemoryKeeperOptions {
  /** What all servers together may take; by default a share of the machine's. */
  readonly maxBytes: number | undefined;
  readonly machine: MachineMemory;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface MemoryUse {
  /** What all servers take: as measured last, each of those not measured counted as ASSUMED_BYTES. */
  readonly bytes: number;
  readonly maxBytes: number;
  /** Null where the system does not say. */
  readonly availableBytes: number | null;
  /** Servers that are up, and how many of them were measured. */
  readonly servers: number;
  readonly measured: number;
}

/**
 * Knows what the servers cost, and stops suspended ones, the least recently used first, when together they cost too
 * much or the machine runs short. A server is measured after a freeze, and now and then while it runs; frozen it does
 * not change.
 */
export class MemoryKeeper {
  readonly #options: MemoryKeeperOptions;
  readonly #maxBytes: number;
  readonly #up = new Map<Member, { bytes: number | undefined; atMs: number }>();
  readonly #unmeasured = new Set<Member>();
  #bytes = 0;
  #measuring = false;
  #timer: Timer | undefined;
  #freeing: Promise<void> | undefined;
  #complainedAtMs = Number.NEGATIVE_INFINITY;

  constructor(options: MemoryKeeperOptions) {
    this.#options = options;
    const { totalBytes } = options.machine;
    this.#maxBytes =
      options.maxBytes ??
      (totalBytes === undefined ? Number.POSITIVE_INFINITY : Math.round(totalBytes * DEFAULT_SHARE));
  }

  get use(): MemoryUse {
    const measured = [...this.#up.values()].filter(({ bytes }) => bytes !== undefined).length;
    const availableBytes = this.#options.machine.availableBytes() ?? null;
    return { bytes: this.#bytes, maxBytes: this.#maxBytes, availableBytes, servers: this.#up.size, measured };
  }

  /** What a server took when it was measured last; 0 for one that is not up, undefined if that is not known. */
  bytesOf(member: Member): number | undefined {
    const entry = this.#up.get(member);
    return entry === undefined ? 0 : entry.bytes;
  }

  /** Told of every change of a member's state. */
  changed(member: Member, state: InstanceState): void {
    if (state === 'stopped' || state === 'failed') {
      this.forget(member);
      return;
    }
    if (!this.#up.has(member)) this.#note(member, undefined);
    if (state === 'suspended' && this.#outdated(member)) this.#enqueue(member);
    if (this.#timer === undefined) this.#arm();
  }

  forget(member: Member): void {
    const entry = this.#up.get(member);
    if (entry === undefined) return;
    this.#bytes -= entry.bytes ?? ASSUMED_BYTES;
    this.#up.delete(member);
    this.#unmeasured.delete(member);
  }

  /** Waits, for a bounded time, until a server that starts has room. Nobody is refused for want of it. */
  async makeRoom(member: Member): Promise<void> {
    this.changed(member, 'starting');
    if (this.#needBytes() <= 0) return;
    const freed = this.#free();
    await new Promise<void>((resolve) => {
      const timer = this.#options.clock.after(MAKE_ROOM_MS, resolve);
      void freed.then(() => {
        timer.cancel();
        resolve();
      });
    });
  }

  close(): void {
    this.#timer?.cancel();
    this.#up.clear();
    this.#unmeasured.clear();
  }

  #note(member: Member, bytes: number | undefined): void {
    const before = this.#up.get(member);
    if (before !== undefined) this.#bytes -= before.bytes ?? ASSUMED_BYTES;
    this.#bytes += bytes ?? ASSUMED_BYTES;
    this.#up.set(member, { bytes, atMs: this.#options.clock.monotonic() });
  }

  /** One at a time, off the main thread: measuring a thousand must not be felt by a query. */
  #enqueue(member: Member): void {
    this.#unmeasured.add(member);
    if (this.#measuring) return;
    this.#measuring = true;
    void this.#measureAll().finally(() => {
      this.#measuring = false;
    });
  }

  async #measureAll(): Promise<void> {
    for (const member of this.#unmeasured) {
      this.#unmeasured.delete(member);
      const bytes = await member.memoryBytes().catch(() => undefined);
      // Gone meanwhile, or not known here: then its place is taken by what is assumed.
      if (bytes === undefined || !this.#up.has(member)) continue;
      this.#note(member, bytes);
      if (this.#needBytes() > 0) void this.#free();
    }
  }

  #outdated(member: Member): boolean {
    const entry = this.#up.get(member);
    return entry?.bytes === undefined || this.#options.clock.monotonic() - entry.atMs >= MEASURED_FOR_MS;
  }

  #arm(): void {
    this.#timer = this.#options.clock.after(LOOK_MS, () => {
      this.#timer = undefined;
      if (this.#up.size === 0) return;
      this.#arm();
      this.#look();
    });
  }

  #look(): void {
    const running = [...this.#up].filter(([member]) => member.state === 'running' && this.#outdated(member));
    running.sort(([, a], [, b]) => a.atMs - b.atMs);
    for (const [member] of running.slice(0, MEASURED_A_LOOK_MAX)) this.#enqueue(member);
    if (this.#needBytes() > 0) void this.#free();
  }

  /** What must come free: for our own mark, or because the machine has little left. */
  #needBytes(): number {
    const { machine } = this.#options;
    const over = this.#bytes > this.#maxBytes ? this.#bytes - this.#maxBytes * LOW_WATER : 0;
    const { totalBytes } = machine;
    const available = machine.availableBytes();
    if (totalBytes === undefined || available === undefined) return over;
    const scarce = Math.min(totalBytes * SCARCE_SHARE, SCARCE_BYTES_MAX);
    return Math.max(over, available < scarce ? scarce - available : 0);
  }

  /** Stops suspended servers until there is room, or none is left. One round at a time. */
  #free(): Promise<void> {
    this.#freeing ??= this.#freeRounds().finally(() => {
      this.#freeing = undefined;
    });
    return this.#freeing;
  }

  async #freeRounds(): Promise<void> {
    for (;;) {
      const needBytes = this.#needBytes();
      if (needBytes <= 0) return;
      const candidates = [...this.#up].flatMap(([member, { bytes }]) =>
        member.state === 'suspended' && !member.rest.alwaysOn
          ? [{ member, bytes: bytes ?? ASSUMED_BYTES, usedAtMs: member.usedAtMs }]
          : [],
      );
      const victims = chooseVictims(candidates, needBytes);
      let stopped = 0;
      let next = 0;
      const worker = async (): Promise<void> => {
        for (let victim = victims[next++]; victim !== undefined; victim = victims[next++]) {
          if (await victim.member.yieldMemory().catch(() => false)) stopped++;
        }
      };
      await Promise.all(Array.from({ length: TOGETHER }, worker));
      if (stopped === 0) {
        this.#complain(needBytes);
        return;
      }
      this.#options.logger.log('info', 'stopped suspended databases for their memory', { stopped });
    }
  }

  #complain(needBytes: number): void {
    const nowMs = this.#options.clock.monotonic();
    if (nowMs - this.#complainedAtMs < COMPLAIN_MS) return;
    this.#complainedAtMs = nowMs;
    this.#options.logger.log('warn', 'memory is scarce, and no suspended database is left to stop', {
      databaseBytes: this.#bytes,
      maxBytes: this.#maxBytes,
      missingBytes: Math.round(needBytes),
    });
  }
}
