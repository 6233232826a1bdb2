import { HeldSchema, type KnownSchema } from '../compiler/index.ts';
import type { SchemaAnswer } from './large-body-protocol.ts';

/** Schemas that one thread holds: a schema of 1000 models takes 14 MB. */
const HELD_MAX = 4;

/** The schemas of a thread's latest requests, in memory. Their files belong to the main thread. */
export class HeldSchemas {
  /** Least recently used first. */
  readonly #held = new Map<string, KnownSchema>();

  /** Holds a schema. `ask` gets it from the main thread if it is not held yet. */
  async hold(hash: string, ask: () => Promise<SchemaAnswer>): Promise<void> {
    let schema = this.#held.get(hash);
    // The schema may have come before its parameters were read; then it is asked for again.
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
