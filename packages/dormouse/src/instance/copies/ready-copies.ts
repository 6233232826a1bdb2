import { createHash } from 'node:crypto';
import { assert, type Clock, type DatabaseId, type Logger, type Timer } from '../../base/index.ts';
import type { CopySource, ForkOrder, ForkResult, ReadyCopies } from '../contract/index.ts';
import { COPY_PREFIX, type DataLayout, treeBytes } from '../machine/index.ts';
import { readControlFile } from '../postgres/index.ts';
import { Spares } from './spares.ts';

/** Sources that have copies ready, the least recently used go: the templates of a few suites at a time. */
const SOURCES_MAX = 4;
/** Of a larger source no copy is made that nobody asked for. */
const SOURCE_BYTES_MAX = 256 * 1024 * 1024;
/** When nobody has asked for so long, the suite is over. */
const IDLE_MS = 5 * 60_000;

export interface FileReadyCopiesOptions {
  readonly layout: DataLayout;
  /** Makes one copy; see `Runtime.fork`. */
  readonly fork: (order: ForkOrder) => Promise<ForkResult>;
  /** How many a source; 0 for none. */
  readonly count: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Entry {
  /** Of its pg_control: a server that only starts changes that. */
  readonly mark: string;
  readonly spares: Spares;
  idle: Timer | undefined;
}

/**
 * Copies of stopped databases that lie ready to become throw-away ones: whoever asks for one is likely to ask again, a
 * test suite for each of its files. They are of one state of their source: once it starts, or is deleted, they go. Not
 * synced, and none outlives its platform.
 */
export class FileReadyCopies implements ReadyCopies {
  readonly #options: FileReadyCopiesOptions;
  /** Least recently used first. */
  readonly #entries = new Map<DatabaseId, Entry>();
  readonly #ending = new Set<Promise<void>>();
  #closed = false;

  constructor(options: FileReadyCopiesOptions) {
    this.#options = options;
  }

  /** Gives a copy of the stopped source, as it is now, the name of a database; false if none lies ready. */
  async take(source: DatabaseId, id: DatabaseId): Promise<boolean> {
    const entry = this.#entries.get(source);
    if (entry === undefined) return false;
    // Whatever cannot be read now is said by who makes the copy.
    if ((await this.#markOf(source).catch(() => undefined)) !== entry.mark) {
      this.forget(source);
      return false;
    }
    if (this.#entries.get(source) === entry) this.#used(source, entry);
    return entry.spares.take(entry.mark, id);
  }

  /** Begins to make copies of a source that was just copied while it was stopped. Never rejects. */
  async expectMore(source: CopySource): Promise<void> {
    const { layout, count, clock, logger } = this.#options;
    const { databaseId } = source;
    if (count === 0 || this.#closed || this.#entries.has(databaseId)) return;
    let mark: string | undefined;
    try {
      if ((await treeBytes(layout.database(databaseId).data)) > SOURCE_BYTES_MAX) return;
      mark = await this.#markOf(databaseId);
    } catch {
      // It is being deleted.
    }
    if (mark === undefined || this.#closed || this.#entries.has(databaseId) || source.state !== 'stopped') return;
    const spares = new Spares({
      ...{ databases: layout.databases, prefix: `${COPY_PREFIX}${databaseId}-`, durable: false, quietMs: 0 },
      ...{ count, clock, logger },
      make: (name, signal) => this.#make(source, name, signal),
    });
    const entry: Entry = { mark, spares, idle: undefined };
    this.#used(databaseId, entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= SOURCES_MAX) break;
      this.forget(oldest);
    }
    await spares.open(mark).catch((error: unknown) => this.#failed(databaseId, error));
  }

  /** Its copies are not of what it is from now on. */
  forget(source: DatabaseId): void {
    const entry = this.#entries.get(source);
    if (entry === undefined) return;
    this.#entries.delete(source);
    entry.idle?.cancel();
    const ending = entry.spares
      .remove()
      // What stays is removed by the next start.
      .catch((error: unknown) => this.#options.logger.log('warn', 'a ready copy stays', { reason: String(error) }))
      .finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  /** Removes all, and makes no more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const source of [...this.#entries.keys()]) this.forget(source);
    await Promise.all([...this.#ending]);
  }

  async #make(source: CopySource, name: string, signal: AbortSignal): Promise<void> {
    try {
      assert(source.state === 'stopped', 'copies of what runs are made of nothing');
      await source.whileStopped(true, async (ended) => {
        await this.#options.fork({
          ...{ source: source.databaseId, server: source.server, running: false, id: name as DatabaseId },
          ...{ throwAway: true, signal: AbortSignal.any([signal, ended]) },
        });
      });
    } catch (error) {
      this.#failed(source.databaseId, error);
      throw error;
    }
  }

  /** Somebody needs the source, or the disk is full: who asks next begins anew. */
  #failed(source: DatabaseId, error: unknown): void {
    this.#options.logger.log('debug', 'no copies are made ready', { database: source, reason: String(error) });
    this.forget(source);
  }

  #used(source: DatabaseId, entry: Entry): void {
    this.#entries.delete(source);
    this.#entries.set(source, entry);
    entry.idle?.cancel();
    entry.idle = this.#options.clock.after(IDLE_MS, () => this.forget(source));
  }

  /** Undefined for one that has to recover: its files are not all that it is. */
  async #markOf(source: DatabaseId): Promise<string | undefined> {
    const { bytes, cleanlyStopped } = await readControlFile(this.#options.layout.database(source).data);
    return cleanlyStopped ? createHash('sha256').update(bytes).digest('hex').slice(0, 12) : undefined;
  }
}
