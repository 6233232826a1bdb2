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
 * Memory for what all databases of this process keep, plans above all: the least recently used of any of them goes first. A use
 * costs a number, whatever else is kept; room is made in bulk.
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
    const all: { readonly share: Share; readonly entry: Kept }[] = [];
    for (const share of this.#shares) for (const entry of share.entries()) all.push({ share, entry });
    all.sort((left, right) => left.entry.usedAt - right.entry.usedAt);
    // The newest is what room is made for.
    all.pop();
    for (const { share, entry } of all) {
      if (this.#bytes <= this.bytesMax * (1 - ROOM)) return;
      share.drop(entry);
    }
  }

  /** Lets go what was not used since the sweep before. */
  sweep(): void {
    for (const share of [...this.#shares]) {
      for (const entry of [...share.entries()]) if (entry.usedAt <= this.#usesAtSweep) share.drop(entry);
    }
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

  entries(): Iterable<Entry> {
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

  /** Lets all go. */
  clear(): void {
    for (const entry of [...this.#entries]) this.drop(entry);
  }

  #change(by: number): void {
    this.#bytes += by;
    this.#budget.changed(this as unknown as Share, by);
  }

  #makeRoom(): void {
    if (this.#bytes > this.bytesMax) {
      const all = [...this.#entries].sort((left, right) => left.usedAt - right.usedAt);
      all.pop();
      for (const entry of all) {
        if (this.#bytes <= this.bytesMax * (1 - ROOM)) break;
        this.drop(entry);
      }
    }
    this.#budget.makeRoom();
  }
}
