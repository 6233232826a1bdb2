import type { Clock, Timer } from '../../base/index.ts';
import type { Attachment } from '../contract/index.ts';

/** How long attachments may take for their first and last words. */
const WORDS_MS = 5000;

/**
 * The attachments of one database: told what becomes of the server, and waited for where they have something to say.
 */
export class Attachments {
  readonly #clock: Clock;
  readonly #attachments = new Set<Attachment>();
  /** Whether they were told that the server is up. */
  #announced = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get announced(): boolean {
    return this.#announced;
  }

  attach(attachment: Attachment): () => void {
    this.#attachments.add(attachment);
    if (this.#announced) attachment.started();
    return () => this.#attachments.delete(attachment);
  }

  announce(): void {
    this.#announced = true;
    for (const attachment of [...this.#attachments]) attachment.started();
  }

  /** The server is gone. */
  bury(): void {
    if (!this.#announced) return;
    this.#announced = false;
    for (const attachment of [...this.#attachments]) attachment.stopped();
  }

  /** Whether anybody has something to finish before a rest. */
  get settles(): boolean {
    if (!this.#announced) return false;
    for (const attachment of this.#attachments) if (attachment.settling !== undefined) return true;
    return false;
  }

  /** Waits until all have finished what is under way, or given up on it, or `signal` has fired. */
  async settle(signal: AbortSignal): Promise<void> {
    const work = Promise.allSettled([...this.#attachments].map((attachment) => attachment.settling?.(signal)));
    await new Promise<void>((resolve) => {
      let late: Timer | undefined;
      const hurry = (): void => {
        late = this.#clock.after(WORDS_MS, resolve);
      };
      if (signal.aborted) hurry();
      else signal.addEventListener('abort', hurry, { once: true });
      void work.then(() => {
        signal.removeEventListener('abort', hurry);
        late?.cancel();
        resolve();
      });
    });
  }

  /** Waits for the answers, for a bounded time; one that fails only has nothing to add. */
  async tell(word: (attachment: Attachment) => Promise<void> | undefined): Promise<void> {
    const answers = [...this.#attachments].flatMap((attachment) => word(attachment) ?? []);
    if (answers.length === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(WORDS_MS, resolve);
      void Promise.allSettled(answers).then(() => {
        timer.cancel();
        resolve();
      });
    });
  }
}
