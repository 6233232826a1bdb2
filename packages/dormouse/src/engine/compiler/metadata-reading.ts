import { type Clock, DormouseError, type Logger } from '../../base/index.ts';
import { JobFailed } from '../../threads/index.ts';
import type { SchemaFacts } from './compiler-protocol.ts';

/** After a failure a schema that is in use is read again, this much later; twice as much later each time. */
const RETRY_AFTER_MS = 10_000;
const RETRY_AFTER_MS_MAX = 1_800_000;

export interface MetadataReadingOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly read: () => Promise<SchemaFacts>;
}

/**
 * What is read of one schema's metadata, once that has come through. A reading that failed, for the load of the machine
 * or for want of memory, is repeated when the schema is used; what is too large to be read is not.
 */
export class MetadataReading implements SchemaFacts {
  /** Called once, when it has come through. */
  onRead: (() => void) | undefined;
  readonly #options: MetadataReadingOptions;
  #parameters: SchemaFacts['parameters'];
  #underWay: Promise<void> | undefined;
  #failures = 0;
  /** On the monotonic clock. */
  #notBeforeMs = 0;

  constructor(options: MetadataReadingOptions) {
    this.#options = options;
  }

  get parameters(): SchemaFacts['parameters'] {
    return this.#parameters;
  }

  /** Reads, unless it has or does, or failed too short a time ago. Resolves when it has ended, however. */
  want(): Promise<void> {
    const { clock } = this.#options;
    if (this.#parameters !== undefined || clock.monotonic() < this.#notBeforeMs) return Promise.resolve();
    this.#underWay ??= this.#read().finally(() => {
      this.#underWay = undefined;
    });
    return this.#underWay;
  }

  async #read(): Promise<void> {
    const { clock, log, read } = this.#options;
    try {
      this.#parameters = (await read()).parameters;
    } catch (error) {
      if (error instanceof DormouseError && error.code === 'shutting_down') {
        this.#notBeforeMs = Number.POSITIVE_INFINITY;
        return;
      }
      const isFinal = error instanceof JobFailed && error.reason === 'refused';
      const waitMs = isFinal
        ? Number.POSITIVE_INFINITY
        : Math.min(RETRY_AFTER_MS * 2 ** this.#failures++, RETRY_AFTER_MS_MAX);
      this.#notBeforeMs = clock.monotonic() + waitMs;
      // The schema is valid and can be compiled for; its queries are just not kept by shape.
      const again = isFinal ? 'never' : `in ${waitMs / 1000} s, if it is used`;
      log.log('warn', 'the metadata of a schema cannot be read', { reason: (error as Error).message, again });
      return;
    }
    this.onRead?.();
  }
}
