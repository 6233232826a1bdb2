import type { Clock, Logger } from '../../base/index.ts';
import type { Lsn } from '../../wire/index.ts';
import type { EventLog } from '../log/index.ts';
import { type CatalogEntry, readCatalog } from './table-catalog.ts';

/** How long the running server has to name its tables. */
const CATALOG_MS = 5000;
/** What the server itself writes into the WAL when it goes to rest: less than any statement that makes a table. */
const REST_WAL_BYTES = 512n;

export interface KnownTablesOptions {
  readonly log: EventLog;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Asks the running server, as text for `readCatalog`. */
  readonly ask: () => Promise<string>;
}

/**
 * The tables of a database: asked of its running server, or, while the server sleeps, as noted when it went to rest. A
 * sleeping server is not woken to be asked.
 */
export class KnownTables {
  readonly #options: KnownTablesOptions;
  #noted: { readonly text: string; readonly atLsn: Lsn } | undefined;
  /** The server has not run since the note, or nothing was written since. */
  #noteHolds = false;

  constructor(options: KnownTablesOptions) {
    this.#options = options;
  }

  /** The tables, asked of the running server; undefined if it does not answer in time. */
  async now(): Promise<readonly CatalogEntry[] | undefined> {
    const { clock, logger, ask } = this.#options;
    const asked = ask().then(readCatalog);
    asked.catch((error: unknown) => logger.log('debug', 'the tables are not known', { error: String(error) }));
    // The server may be frozen before it answers.
    const late = new Promise<undefined>((resolve) => clock.after(CATALOG_MS, () => resolve(undefined)));
    return Promise.race([asked.catch(() => undefined), late]);
  }

  /** The tables when the server went to rest; undefined if they may have changed since. */
  async atRest(): Promise<readonly CatalogEntry[] | undefined> {
    if (this.#noted !== undefined && this.#noteHolds) return readCatalog(this.#noted.text);
    const { log } = this.#options;
    const [noted, { storedLsn }] = [await log.notedTables(), await log.state()];
    if (noted === undefined || storedLsn === undefined || storedLsn - noted.storedLsn > REST_WAL_BYTES)
      return undefined;
    return readCatalog(noted.text);
  }

  /**
   * Notes the tables before the server rests; everything up to `lsn` is in the log. If nothing was written since the
   * last note, the server is not asked.
   */
  async note(lsn: Lsn): Promise<void> {
    const { log, logger, ask } = this.#options;
    this.#noteHolds = this.#noted !== undefined && lsn - this.#noted.atLsn <= REST_WAL_BYTES;
    if (this.#noteHolds) return;
    try {
      const text = await ask();
      await log.noteTables(text);
      this.#noted = { text, atLsn: lsn };
      this.#noteHolds = true;
    } catch (error) {
      logger.log('debug', 'the tables are not noted', { error: String(error) });
    }
  }

  /** The server runs again: tables may be made. */
  serverRuns(): void {
    this.#noteHolds = false;
  }
}
