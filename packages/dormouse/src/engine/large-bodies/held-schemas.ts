import { HeldSchema, type KnownSchema } from '../compiler/index.ts';
import type { SchemaAnswer } from './large-body-protocol.ts';

/** Schemas kept a thread: one of 1000 models has 14 MB. */
const HELD_MAX = 4;

/** The schemas that a thread's requests were made for last; the files are the main thread's. */
export class HeldSchemas {
  /** Least recently used first. */
  readonly #held = new Map<string, KnownSchema>();

  /** Holds a schema, which `ask` gives if it is not here yet. */
  async hold(hash: string, ask: () => Promise<SchemaAnswer>): Promise<void> {
    let schema = this.#held.get(hash);
    // Its parameters may not have been read when it came; then it is asked for again.
    if (schema?.graph === undefined) {
      const { text, facts } = await ask();
      schema = new HeldSchema(hash, facts, async () => text);
    }
    this.#held.delete(hash);
    this.#held.set(hash, schema);
    for (const oldest of this.#held.keys()) {
      if (this.#held.size <= HELD_MAX) return;
      this.#held.delete(oldest);
    }
  }

  latest(hash: string): KnownSchema | undefined {
    return this.#held.get(hash);
  }

  async find(hash: string): Promise<KnownSchema | undefined> {
    return this.#held.get(hash);
  }
}
