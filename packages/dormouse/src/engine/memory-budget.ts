/** What was not used between two sweeps goes: half an hour to an hour after its last use. */
export const SWEEP_MS = 1_800_000;

/** Part of a share that goes when it is over its own bound, and of the budget when all are: rare work in bulk. */
const ROOM = 1 / 8;

/** Something kept because it may be asked for again; whoever asks for it then without finding it makes it anew. */
export interface Kept {
  /** Its last use, by the budget's count. */
  usedAt: number;
  /** Bytes that it holds, by estimate. */
  weight: number;
}

/**
 * Memory for what all databases of this process keep, plans above all: the least recently used of any of them goes
 * first. A use costs a number, whatever else is kept; room is made in bulk.
 */
export class MemoryBudget {
  readonly bytesMax: number;
  readonly #shares = new Set<Share>();
  #bytes = 0;
  #uses = 0;
  #usesAtSweep = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  /** Bytes held by all, by estimate. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A share for one cache, of at most `bytesMax`. `drop` forgets an entry that has to go. */
  share<Entry extends Kept>(bytesMax: number, drop: (entry: Entry) => void): Share<Entry> {
    return new Share(this, Math.min(bytesMax, this.bytesMax), drop);
  }

  /** For shares: the number of a use. */
  use(): number {
    return ++this.#uses;
  }

  /** For shares: what changed. Those that hold nothing are not looked at. */
  changed(share: Share, by: number): void {
    this.#bytes += by;
    if (share.bytes > 0) this.#shares.add(share);
    else this.#shares.delete(share);
  }

  /** For shares: lets go what all can do without, if together they have too much. */
  makeRoom(): void {
    if (this.#bytes <= this.bytesMax) return;
    dropOldest([...this.#shares], () => this.#bytes <= this.bytesMax * (1 - ROOM));
  }

  /** Lets go what was not used since the sweep before. */
  sweep(): void {
    for (const share of [...this.#shares]) share.dropUsedUpTo(this.#usesAtSweep);
    this.#usesAtSweep = this.#uses;
  }
}

/** What one cache of one database keeps of a budget. */
export class Share<Entry extends Kept = Kept> {
  readonly bytesMax: number;
  readonly #budget: MemoryBudget;
  readonly #drop: (entry: Entry) => void;
  readonly #entries = new Set<Entry>();
  #bytes = 0;

  constructor(budget: MemoryBudget, bytesMax: number, drop: (entry: Entry) => void) {
    this.#budget = budget;
    this.bytesMax = bytesMax;
    this.#drop = drop;
  }

  /** Bytes held, by estimate. */
  get bytes(): number {
    return this.#bytes;
  }

  get entries(): ReadonlySet<Entry> {
    return this.#entries;
  }

  /** Whether something of this weight may be kept: what would push out a good part of the others is not worth it. */
  takes(weight: number): boolean {
    return weight <= this.bytesMax / 8;
  }

  /** Notes a use. */
  use(entry: Entry): void {
    entry.usedAt = this.#budget.use();
  }

  /** Takes in an entry, as used now. Others may go for it; it stays. */
  add(entry: Entry): void {
    this.use(entry);
    this.#entries.add(entry);
    this.#change(entry.weight);
    this.#makeRoom();
  }

  /** An entry has become heavier. */
  grow(entry: Entry, by: number): void {
    entry.weight += by;
    if (!this.#entries.has(entry)) return;
    this.use(entry);
    this.#change(by);
    this.#makeRoom();
  }

  /** Lets an entry go. */
  drop(entry: Entry): void {
    if (!this.#entries.delete(entry)) return;
    this.#change(-entry.weight);
    this.#drop(entry);
  }

  /** Lets go what was used last at this use or before. */
  dropUsedUpTo(use: number): void {
    for (const entry of this.#entries) if (entry.usedAt <= use) this.drop(entry);
  }

  /** Lets all go. */
  clear(): void {
    for (const entry of this.#entries) this.drop(entry);
  }

  #change(by: number): void {
    this.#bytes += by;
    this.#budget.changed(this as unknown as Share, by);
  }

  #makeRoom(): void {
    if (this.#bytes > this.bytesMax) {
      dropOldest([this as unknown as Share], () => this.#bytes <= this.bytesMax * (1 - ROOM));
    }
    this.#budget.makeRoom();
  }
}

/**
 * Drops the least recently used, a part of all at a time, until it is enough; never the newest, for which room is made.
 * Looks at each entry twice and sorts numbers: 20 000 entries take two milliseconds, once in some thousand new ones.
 */
function dropOldest(shares: readonly Share[], isEnough: () => boolean): void {
  while (!isEnough()) {
    const uses = new Float64Array(shares.reduce((sum, { entries }) => sum + entries.size, 0));
    if (uses.length < 2) return;
    let at = 0;
    for (const { entries } of shares) for (const { usedAt } of entries) uses[at++] = usedAt;
    uses.sort();
    const last = uses[Math.min(Math.floor(uses.length * ROOM), uses.length - 2)] as number;
    for (const share of shares) share.dropUsedUpTo(last);
  }
}
