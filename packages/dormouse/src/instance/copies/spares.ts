import { randomBytes } from 'node:crypto';
import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Logger, Timer } from '../../base/index.ts';
import { removeTree, renameDurably } from '../machine/index.ts';

/** The pause after a spare could not be made (because of a full disk, say). */
const RETRY_MS = 60_000;

export interface SparesOptions {
  /** The directory of the databases, in which spares are too. */
  readonly databases: string;
  /** The start of a spare's name, before the mark of what the spare is a copy of. */
  readonly prefix: string;
  /** Whether a database made from a spare has to outlive a power cut. */
  readonly durable: boolean;
  /** How long after the start, and after a spare was taken, the next spare is made. */
  readonly quietMs: number;
  /** How many spares to keep ready; 0 for none. */
  readonly count: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Makes a database's storage under this name: whole, and durable if that is asked for, or not at all. */
  make(name: string, signal: AbortSignal): Promise<void>;
}

/**
 * Copies that are kept ready, each with an identity of its own: creating a database from a spare is a rename. Made in
 * the background, one at a time. A spare is a directory and nothing else, so it outlives its platform, whatever ends
 * that.
 */
export class Spares {
  readonly #options: SparesOptions;
  /** The names of the spares that are ready. */
  readonly #ready: string[] = [];
  #mark: string | undefined;
  #timer: Timer | undefined;
  #making: Promise<void> | undefined;
  readonly #closing = new AbortController();

  constructor(options: SparesOptions) {
    this.#options = options;
  }

  /** How many spares are ready. */
  get ready(): number {
    return this.#ready.length;
  }

  /**
   * Takes over the spares with this mark, removes all others, and begins to make more. Called once, under the
   * platform's lock.
   */
  async open(mark: string): Promise<void> {
    const { databases, count, prefix, quietMs } = this.#options;
    this.#mark = mark;
    for (const name of (await readdir(databases)).sort()) {
      if (!name.startsWith(prefix)) continue;
      if (name.startsWith(`${prefix}${mark}-`) && this.#ready.length < count) this.#ready.push(name);
      else await removeTree(join(databases, name));
    }
    this.#later(quietMs);
  }

  /**
   * Gives a spare the name of a database; false if no spare is ready. Durable when it returns, if that is asked for.
   */
  async take(mark: string, name: string): Promise<boolean> {
    const { databases, durable, quietMs } = this.#options;
    if (mark !== this.#mark) return false;
    this.#later(quietMs);
    for (let spare = this.#ready.shift(); spare !== undefined; spare = this.#ready.shift()) {
      try {
        await (durable ? renameDurably : rename)(join(databases, spare), join(databases, name));
        return true;
      } catch (error) {
        // The spare was removed by hand: take the next one, if any.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    return false;
  }

  /** Makes no more spares; resolves when none is being made. Ready spares stay for the next start. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#closing.abort(new Error('closed'));
    await this.#making;
  }

  /** Makes no more spares, and removes those that are ready. */
  async remove(): Promise<void> {
    const gone = this.#ready.splice(0);
    await this.close();
    for (const name of [...gone, ...this.#ready.splice(0)]) await removeTree(join(this.#options.databases, name));
  }

  #later(ms: number): void {
    this.#timer?.cancel();
    if (this.#closing.signal.aborted) return;
    this.#timer = this.#options.clock.after(ms, () => this.#fill());
  }

  #fill(): void {
    const { count, logger, prefix } = this.#options;
    if (this.#making !== undefined || this.#ready.length >= count || this.#closing.signal.aborted) return;
    const name = `${prefix}${this.#mark}-${randomBytes(4).toString('hex')}`;
    this.#making = this.#options.make(name, this.#closing.signal).then(
      () => {
        this.#making = undefined;
        this.#ready.push(name);
        this.#fill();
      },
      (error: unknown) => {
        this.#making = undefined;
        if (this.#closing.signal.aborted) return;
        logger.log('warn', 'a spare database could not be made; creating one takes longer', { reason: String(error) });
        this.#later(RETRY_MS);
      },
    );
  }
}
