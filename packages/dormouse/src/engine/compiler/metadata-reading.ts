import { type Clock, DormouseError, type Logger } from '../../base/index.ts';
import { JobFailed } from '../../threads/index.ts';
import type { SchemaFacts } from './compiler-protocol.ts';

/** After a failure, the metadata of a schema in use is read again after this time, which doubles with each failure. */
const RETRY_AFTER_MS = 10_000;
const RETRY_AFTER_MS_MAX = 1_800_000;

export interface MetadataReadingOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly read: () => Promise<SchemaFacts>;
}

/**
 * The reading of one schema's metadata, and its result. A reading that failed because of load or a lack of memory is
 * repeated when the schema is used. Metadata that is too large is never read again.
 */
export class MetadataReading implements SchemaFacts {
  /** Called once, when the metadata was read. */
  onRead: (() => void) | undefined;
  readonly #options: MetadataReadingOptions;
  #parameters: SchemaFacts['parameters'];
  #underWay: Promise<void> | undefined;
  #failures = 0;
  /** The earliest time of the next reading, on the monotonic clock. */
  #notBeforeMs = 0;

  constructor(options: MetadataReadingOptions) {
    this.#options = options;
  }

  get parameters(): SchemaFacts['parameters'] {
    return this.#parameters;
  }

  /**
   * Starts a reading, unless one has succeeded, is under way, or failed too recently. The promise resolves when the
   * reading has ended, whether or not it succeeded.
   */
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
      // The schema is valid, and its queries can be compiled. Only the plans are not kept by the shape of a query.
      const again = isFinal ? 'never' : `in ${waitMs / 1000} s, if it is used`;
      log.log('warn', 'the metadata of a schema cannot be read', { reason: (error as Error).message, again });
      return;
    }
    this.onRead?.();
  }
}
