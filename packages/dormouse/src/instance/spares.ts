import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock, Logger, Timer } from '../base/index.ts';
import { removeTree, renameDurably } from './files.ts';
import { SPARE_PREFIX } from './layout.ts';

/** A start of the platform, and a burst of creations, come first: spares are made once it has been quiet for so long. */
export const QUIET_MS = 1000;
/** After one could not be made (a full disk, say). */
const RETRY_MS = 60_000;

export interface SparesOptions {
  /** Where databases lie, and spares beside them. */
  readonly databases: string;
  /** How many lie ready; 0 for none. */
  readonly count: number;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Makes a database's storage under this name from the template; whole and durable, or not at all. */
  make(name: string, signal: AbortSignal): Promise<void>;
}

/**
 * Copies of the template that lie ready, durable and each with an identity of its own: creating a database from one is a rename. Made
 * in the background, one at a time. A spare is a name on the disk and nothing else, so that one outlives its platform, however that ends.
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

  /** Takes over the spares of this template and removes all others, then begins to fill up. Once, under the platform's lock. */
  async open(mark: string): Promise<void> {
    const { databases, count } = this.#options;
    this.#mark = mark;
    for (const name of (await readdir(databases)).sort()) {
      if (!name.startsWith(SPARE_PREFIX)) continue;
      if (name.startsWith(`${SPARE_PREFIX}${mark}-`) && this.#ready.length < count) this.#ready.push(name);
      else await removeTree(join(databases, name));
    }
    this.#later(QUIET_MS);
  }

  /** Gives a spare the name of a database; false if none lies ready. Durable when it returns. */
  async take(mark: string, name: string): Promise<boolean> {
    if (mark !== this.#mark) return false;
    this.#later(QUIET_MS);
    for (let spare = this.#ready.shift(); spare !== undefined; spare = this.#ready.shift()) {
      try {
        await renameDurably(join(this.#options.databases, spare), join(this.#options.databases, name));
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

  #later(ms: number): void {
    this.#timer?.cancel();
    if (this.#closing.signal.aborted) return;
    this.#timer = this.#options.clock.after(ms, () => this.#fill());
  }

  #fill(): void {
    const { count, logger } = this.#options;
    if (this.#making !== undefined || this.#ready.length >= count || this.#closing.signal.aborted) return;
    const name = `${SPARE_PREFIX}${this.#mark}-${randomBytes(4).toString('hex')}`;
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
