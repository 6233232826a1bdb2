import { type Clock, Deadline, type Logger } from '../../base/index.ts';
import { ensureTemplate0, type Instance } from '../../instance/index.ts';

/** As tools write it (pg_dump --create, createdb -T, frameworks), and as people do who write keywords large. */
const NAMES = ['template0', 'TEMPLATE0'] as const;
/** A statement that makes a database comes in one piece, and is short; what is larger is data. */
const CHUNK_BYTES_MAX = 8 * 1024;

/** Whether a piece of a client's stream may make a database from template0. A yes too many costs some disk. */
export function mayNeedTemplate0(chunk: Buffer): boolean {
  if (chunk.length > CHUNK_BYTES_MAX || !NAMES.some((name) => chunk.includes(name))) return false;
  // What stands before it may be the message's length, of any byte.
  return /create\b[^;]{0,200}?\bdatabase\s/i.test(chunk.toString('latin1'));
}

interface Template0Options {
  readonly instance: Instance;
  readonly clock: Clock;
  readonly wakeMs: number;
  readonly log: Logger;
}

/**
 * Makes `template0` of one server the first time that a session needs it: a database does without, and is a third
 * smaller.
 */
export class Template0 {
  readonly #options: Template0Options;
  #made: Promise<void> | undefined;

  constructor(options: Template0Options) {
    this.#options = options;
  }

  /**
   * What must be waited for before these bytes go to the server, if anything. Never rejects: without it Postgres says
   * what is wrong.
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
