import { createHash } from 'node:crypto';
import { assert, type Clock, type DatabaseId, type Logger, type Timer } from '../../base/index.ts';
import type { CopySource, ForkOrder, ForkResult, ReadyCopies } from '../contract/index.ts';
import { COPY_PREFIX, type DataLayout, treeBytes } from '../machine/index.ts';
import { readControlFile } from '../postgres/index.ts';
import { Spares } from './spares.ts';

/**
 * The most sources that have copies ready: the templates of a few test suites at a time. Beyond that the least recently
 * used source loses its copies.
 */
const SOURCES_MAX = 4;
/** No copy of a larger source is made in advance. */
const SOURCE_BYTES_MAX = 256 * 1024 * 1024;
/** After this long without a request the test suite is taken to be over. */
const IDLE_MS = 5 * 60_000;

export interface FileReadyCopiesOptions {
  readonly layout: DataLayout;
  /** Makes one copy; see `Runtime.fork`. */
  readonly fork: (order: ForkOrder) => Promise<ForkResult>;
  /** How many copies per source; 0 for none. */
  readonly count: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Entry {
  /** A hash of the source's pg_control, which every start of a server changes. */
  readonly mark: string;
  readonly spares: Spares;
  idle: Timer | undefined;
}

/**
 * Copies of stopped databases that are ready to become throw-away databases: a request for one is likely to be
 * repeated, by a test suite for each of its files. The copies hold one state of their source: once the source starts or
 * is deleted, they are removed. They are not synced, and none outlives its platform.
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

  /** Gives a copy of the stopped source, as it is now, the name of a database; false if no copy is ready. */
  async take(source: DatabaseId, id: DatabaseId): Promise<boolean> {
    const entry = this.#entries.get(source);
    if (entry === undefined) return false;
    // A source that cannot be read is reported when a copy of it is made.
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
      // The source is being deleted.
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

  /** Removes the copies of a source whose state changes now. */
  forget(source: DatabaseId): void {
    const entry = this.#entries.get(source);
    if (entry === undefined) return;
    this.#entries.delete(source);
    entry.idle?.cancel();
    const ending = entry.spares
      .remove()
      // A copy that is not removed now is removed by the next start.
      .catch((error: unknown) => this.#options.logger.log('warn', 'a ready copy stays', { reason: String(error) }))
      .finally(() => this.#ending.delete(ending));
    this.#ending.add(ending);
  }

  /** Removes all copies and makes no more. */
  async close(): Promise<void> {
    this.#closed = true;
    for (const source of [...this.#entries.keys()]) this.forget(source);
    await Promise.all([...this.#ending]);
  }

  async #make(source: CopySource, name: string, signal: AbortSignal): Promise<void> {
    try {
      assert(source.state === 'stopped', 'copies are made of stopped databases only');
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

  /** The source is needed, or the disk is full: the next request begins anew. */
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

  /** Undefined for a source that has to recover: its state is not in its files alone. */
  async #markOf(source: DatabaseId): Promise<string | undefined> {
    const { bytes, cleanlyStopped } = await readControlFile(this.#options.layout.database(source).data);
    return cleanlyStopped ? createHash('sha256').update(bytes).digest('hex').slice(0, 12) : undefined;
  }
}
