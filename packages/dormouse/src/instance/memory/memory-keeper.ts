import type { Clock, DatabaseId, Logger, Timer } from '../../base/index.ts';
import type { InstanceState, MachineMemory } from '../contract/index.ts';
import { chooseVictims } from './victims.ts';

/**
 * What a server that was not measured yet counts for. Measured: 16 MB for a server alone, 8 MB beside a hundred that
 * share its program's pages.
 */
export const ASSUMED_BYTES: number = 12 * 1024 * 1024;
/**
 * The share of the machine's memory that databases may take by default: the rest is for the platform, file caches and
 * other programs.
 */
const DEFAULT_SHARE = 0.7;
/**
 * When the servers exceed their maximum, memory is freed down to this share of it, so that the next start finds room
 * without waiting.
 */
const LOW_WATER = 0.9;
/** The machine is short of memory when less than this share of it, and less than this number of bytes, is available. */
const SCARCE_SHARE = 0.05;
const SCARCE_BYTES_MAX = 512 * 1024 * 1024;
/** How often the machine is looked at while a server is up. */
const LOOK_MS = 10_000;
/** How long a measurement holds: to measure one server takes 3 ms of a CPU, in the kernel. */
const MEASURED_FOR_MS = 60_000;
/** Running servers measured in one look: those whose measurement is oldest. */
const MEASURED_A_LOOK_MAX = 10;
/** Servers stopped at the same time: each writes its last pages. */
const TOGETHER = 4;
/** How long a start waits for room; then it goes on without. */
const MAKE_ROOM_MS = 2000;
/** The warning that no server is left to stop is repeated after this at the earliest. */
const COMPLAIN_MS = 60_000;

/** What the keeper needs of a database. Its controller provides it. */
export interface Member {
  readonly databaseId: DatabaseId;
  readonly state: InstanceState;
  readonly rest: { readonly alwaysOn: boolean };
  /** When the database was used last, on the monotonic clock. */
  readonly usedAtMs: number;
  /** The memory that its server takes now. Undefined where that is not known. */
  memoryBytes(): Promise<number | undefined>;
  yieldMemory(): Promise<boolean>;
}

export interface MemoryKeeperOptions {
  /** What all servers together may take; by default a share of the machine's memory. */
  readonly maxBytes: number | undefined;
  readonly machine: MachineMemory;
  readonly clock: Clock;
  readonly logger: Logger;
}

export interface MemoryUse {
  /** What all servers take by their last measurements; a server that was not measured counts as ASSUMED_BYTES. */
  readonly bytes: number;
  readonly maxBytes: number;
  /** Null where the system does not say. */
  readonly availableBytes: number | null;
  /** Servers that are up, and how many of them were measured. */
  readonly servers: number;
  readonly measured: number;
}

/**
 * Knows how much memory the servers take, and stops suspended servers, the least recently used first, when all together
 * take too much or the machine runs short. A server is measured after a freeze, and now and then while it runs; a
 * frozen server does not change.
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

  /**
   * What a server took when it was measured last; 0 for a server that is not up, undefined for one that was not
   * measured.
   */
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

  /** Waits, for a bounded time, until a server that starts has room. No start is refused for want of memory. */
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

  /** Servers are measured one at a time, away from the main thread: measuring a thousand must not slow down a query. */
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
      // The server is gone meanwhile, or cannot be measured: then the assumed size stays.
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

  /** The bytes to free: because the servers exceed their maximum, or because the machine has little left. */
  #needBytes(): number {
    const { machine } = this.#options;
    const over = this.#bytes > this.#maxBytes ? this.#bytes - this.#maxBytes * LOW_WATER : 0;
    const { totalBytes } = machine;
    const available = machine.availableBytes();
    if (totalBytes === undefined || available === undefined) return over;
    const scarce = Math.min(totalBytes * SCARCE_SHARE, SCARCE_BYTES_MAX);
    return Math.max(over, available < scarce ? scarce - available : 0);
  }

  /** Stops suspended servers until there is room or none is left. One call works at a time; others share it. */
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
