import { randomBytes } from 'node:crypto';
import { readdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Logger, Timer } from '../../base/index.ts';
import { removeTree, renameDurably } from '../machine/index.ts';

/** After one could not be made (a full disk, say). */
const RETRY_MS = 60_000;

export interface SparesOptions {
  /** Where databases lie, and spares beside them. */
  readonly databases: string;
  /** What their names begin with, before the mark of what they are copies of. */
  readonly prefix: string;
  /** Whether a database made of one has to outlive a power cut. */
  readonly durable: boolean;
  /** How long after the last one was taken, or the start, the next is made. */
  readonly quietMs: number;
  /** How many lie ready; 0 for none. */
  readonly count: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Makes a database's storage under this name; whole, and durable if that is asked for, or not at all. */
  make(name: string, signal: AbortSignal): Promise<void>;
}

/**
 * Copies that lie ready, each with an identity of its own: creating a database from one is a rename. Made in the
 * background, one at a time. A spare is a name on the disk and nothing else, so that one outlives its platform, however
 * that ends.
 */
export class Spares {
  readonly #options: SparesOptions;
  /** Names of those that lie ready. */
  readonly #ready: string[] = [];
  #mark: string | undefined;
  #timer: Timer | undefined;
  #making: Promise<void> | undefined;
  readonly #closing = new AbortController();

  constructor(options: SparesOptions) {
    this.#options = options;
  }

  /** How many lie ready. */
  get ready(): number {
    return this.#ready.length;
  }

  /**
   * Takes over the spares with this mark and removes all others, then begins to fill up. Once, under the platform's
   * lock.
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

  /** Gives a spare the name of a database; false if none lies ready. Durable when it returns, if that is asked for. */
  async take(mark: string, name: string): Promise<boolean> {
    const { databases, durable, quietMs } = this.#options;
    if (mark !== this.#mark) return false;
    this.#later(quietMs);
    for (let spare = this.#ready.shift(); spare !== undefined; spare = this.#ready.shift()) {
      try {
        await (durable ? renameDurably : rename)(join(databases, spare), join(databases, name));
        return true;
      } catch (error) {
        // Somebody tidied up by hand: the next, or none.
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
      }
    }
    return false;
  }

  /** Makes no more; done when nothing is being made. What lies ready stays for the next start. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#closing.abort(new Error('closed'));
    await this.#making;
  }

  /** Makes no more, and removes what lies ready. */
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
