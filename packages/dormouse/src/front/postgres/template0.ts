import { type Clock, Deadline, type Logger } from '../../base/index.ts';
import { ensureTemplate0, type Instance } from '../../instance/index.ts';

/**
 * The name as tools write it (pg_dump --create, createdb -T, frameworks), and as people write it who put SQL in
 * capitals.
 */
const NAMES = ['template0', 'TEMPLATE0'] as const;
/** A statement that makes a database is short and comes in one chunk; a larger chunk is data. */
const CHUNK_BYTES_MAX = 8 * 1024;

/** Whether a chunk of a client's stream may make a database from template0. A yes too many costs some disk. */
export function mayNeedTemplate0(chunk: Buffer): boolean {
  if (chunk.length > CHUNK_BYTES_MAX || !NAMES.some((name) => chunk.includes(name))) return false;
  // The bytes before the statement may be the message's length, and so of any value: latin1 decodes all of them.
  return /create\b[^;]{0,200}?\bdatabase\s/i.test(chunk.toString('latin1'));
}

interface Template0Options {
  readonly instance: Instance;
  readonly clock: Clock;
  readonly wakeMs: number;
  readonly log: Logger;
}

/**
 * Makes `template0` of one server when a session needs it for the first time. Without it, a new database works and is a
 * third smaller.
 */
export class Template0 {
  readonly #options: Template0Options;
  #made: Promise<void> | undefined;

  constructor(options: Template0Options) {
    this.#options = options;
  }

  /**
   * Gives what these bytes must wait for before they go to the server, if anything. Never rejects: if template0 cannot
   * be made, Postgres reports what is wrong.
   */
  before(chunk: Buffer): Promise<void> | undefined {
    if (!mayNeedTemplate0(chunk)) return undefined;
    this.#made ??= this.#make().catch((error: unknown) => {
      this.#made = undefined;
      const { log, instance } = this.#options;
      log.log('warn', 'template0 could not be made', { database: instance.databaseId, reason: String(error) });
    });
    return this.#made;
  }

  async #make(): Promise<void> {
    const { instance, clock, wakeMs } = this.#options;
    const hold = instance.tryHold() ?? (await instance.hold(Deadline.in(clock, wakeMs)));
    try {
      await ensureTemplate0(instance.endpoint);
    } finally {
      hold.release();
    }
  }
}
