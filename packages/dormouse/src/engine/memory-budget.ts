/**
 * Time between two sweeps. An entry that is not used between two sweeps is dropped: 30 to 60 minutes after its last
 * use.
 */
export const SWEEP_MS = 1_800_000;

/** The part of a share, or of the whole budget, that is freed when its bound is passed: rare work, done in bulk. */
const ROOM = 1 / 8;

/**
 * An entry that is kept because it may be asked for again. An entry that was dropped is made anew when it is asked for.
 */
export interface Kept {
  /** The number of its last use: the budget counts all uses. */
  usedAt: number;
  /** Estimated bytes that it holds. */
  weight: number;
}

/**
 * The bound of the memory that the kept entries of all databases (plans, above all) take together. The least recently
 * used entries are dropped first, whichever database they belong to. A use costs one counter, however many entries are
 * kept; room is made in bulk.
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

  /** Estimated bytes that all shares hold. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Opens a share for one cache, of at most `bytesMax`. `drop` removes an entry from the cache. */
  share<Entry extends Kept>(bytesMax: number, drop: (entry: Entry) => void): Share<Entry> {
    return new Share(this, Math.min(bytesMax, this.bytesMax), drop);
  }

  /** Called by shares: gives the number of a use. */
  use(): number {
    return ++this.#uses;
  }

  /** Called by shares when their bytes change. A share that holds nothing is left out of the search for old entries. */
  changed(share: Share, by: number): void {
    this.#bytes += by;
    if (share.bytes > 0) this.#shares.add(share);
    else this.#shares.delete(share);
  }

  /** Called by shares: drops the least recently used entries if all shares together hold too much. */
  makeRoom(): void {
    if (this.#bytes <= this.bytesMax) return;
    dropOldest([...this.#shares], () => this.#bytes <= this.bytesMax * (1 - ROOM));
  }

  /** Drops the entries that were not used since the sweep before. */
  sweep(): void {
    for (const share of [...this.#shares]) share.dropUsedUpTo(this.#usesAtSweep);
    this.#usesAtSweep = this.#uses;
  }
}

/** The part of a budget that one cache of one database takes. */
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

  /** Estimated bytes that the share holds. */
  get bytes(): number {
    return this.#bytes;
  }

  get entries(): ReadonlySet<Entry> {
    return this.#entries;
  }

  /** Whether an entry of this weight may be kept. An entry that would push out many others is not worth it. */
  takes(weight: number): boolean {
    return weight <= this.bytesMax / 8;
  }

  /** Notes a use. */
  use(entry: Entry): void {
    entry.usedAt = this.#budget.use();
  }

  /** Adds an entry, as used now. Older entries may be dropped for it; the entry itself stays. */
  add(entry: Entry): void {
    this.use(entry);
    this.#entries.add(entry);
    this.#change(entry.weight);
    this.#makeRoom();
  }

  /** Adds to the weight of an entry, as used now. */
  grow(entry: Entry, by: number): void {
    entry.weight += by;
    if (!this.#entries.has(entry)) return;
    this.use(entry);
    this.#change(by);
    this.#makeRoom();
  }

  /** Drops an entry. */
  drop(entry: Entry): void {
    if (!this.#entries.delete(entry)) return;
    this.#change(-entry.weight);
    this.#drop(entry);
  }

  /** Drops the entries whose last use was this one or an earlier one. */
  dropUsedUpTo(use: number): void {
    for (const entry of this.#entries) if (entry.usedAt <= use) this.drop(entry);
  }

  /** Drops all entries. */
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
 * Drops the least recently used entries, an eighth of all per round, until `isEnough`. The newest entry, for which room
 * is made, is never dropped. A round visits each entry twice and sorts numbers: 20 000 entries take two milliseconds,
 * once per some thousand new entries.
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
