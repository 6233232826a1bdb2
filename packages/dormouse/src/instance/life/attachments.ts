import type { Clock, Timer } from '../../base/index.ts';
import type { Attachment } from '../contract/index.ts';

/** How long attachments may take before a server is used first, frozen or stopped. */
const ANSWER_MS = 5000;

/**
 * The attachments of one database: told what becomes of the server, and waited for where they have work to do first.
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

  /** Tells all that the server is up. */
  started(): void {
    this.#announced = true;
    for (const attachment of [...this.#attachments]) attachment.started();
  }

  /** Tells all that the server is gone, if they were told that it was up. */
  stopped(): void {
    if (!this.#announced) return;
    this.#announced = false;
    for (const attachment of [...this.#attachments]) attachment.stopped();
  }

  /** Whether an attachment has something to finish before a rest. */
  get settles(): boolean {
    if (!this.#announced) return false;
    for (const attachment of this.#attachments) if (attachment.settling !== undefined) return true;
    return false;
  }

  /**
   * Waits until all have finished what is under way, or have given up; after `signal` fires only for a bounded time.
   */
  async settle(signal: AbortSignal): Promise<void> {
    const work = Promise.allSettled([...this.#attachments].map((attachment) => attachment.settling?.(signal)));
    await new Promise<void>((resolve) => {
      let late: Timer | undefined;
      const hurry = (): void => {
        late = this.#clock.after(ANSWER_MS, resolve);
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

  /**
   * Asks each attachment by `ask` and waits for the answers, for a bounded time. A failed answer counts as an answer.
   */
  async askAll(ask: (attachment: Attachment) => Promise<void> | undefined): Promise<void> {
    const answers = [...this.#attachments].flatMap((attachment) => ask(attachment) ?? []);
    if (answers.length === 0) return;
    await new Promise<void>((resolve) => {
      const timer = this.#clock.after(ANSWER_MS, resolve);
      void Promise.allSettled(answers).then(() => {
        timer.cancel();
        resolve();
      });
    });
  }
}
