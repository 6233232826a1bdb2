import type { RandomBytes } from '../../base/index.ts';
import { equalBytes } from '../../wire/index.ts';

/** The key by which a client cancels its statement, and by which the door finds the session. */
export interface CancelKey {
  /**
   * The backend's own process id. Servers count their processes independently: several sessions of the door may have
   * the same id.
   */
  readonly processId: number;
  readonly secretKey: Uint8Array;
}

/** Finds the session that a cancel request is for, by process id and secret together. */
export class CancelKeys<T extends CancelKey> {
  readonly #random: RandomBytes;
  readonly #held = new Map<number, Set<T>>();

  constructor(random: RandomBytes) {
    this.#random = random;
  }

  /** Makes a secret that no other holder with this process id has. */
  newSecret(processId: number, bytes: number): Uint8Array {
    for (;;) {
      const secretKey = this.#random(bytes);
      if (this.find(processId, secretKey) === undefined) return secretKey;
    }
  }

  add(holder: T): void {
    const same = this.#held.get(holder.processId);
    if (same === undefined) this.#held.set(holder.processId, new Set([holder]));
    else same.add(holder);
  }

  delete(holder: T): void {
    const same = this.#held.get(holder.processId);
    if (same?.delete(holder) === true && same.size === 0) this.#held.delete(holder.processId);
  }

  /** Looks at every holder with this process id, even after one fits: so the time says nothing about a secret. */
  find(processId: number, secretKey: Uint8Array): T | undefined {
    let found: T | undefined;
    for (const holder of this.#held.get(processId) ?? []) if (equalBytes(holder.secretKey, secretKey)) found = holder;
    return found;
  }
}
