import type { DatabaseId } from '../../base/index.ts';

/** A change of a database, as watchers get it. */
export type ControlEvent =
  | {
      readonly event: 'state';
      readonly data: { readonly id: DatabaseId; readonly name: string; readonly state: string };
    }
  | { readonly event: 'created' | 'changed'; readonly data: unknown }
  | { readonly event: 'deleted'; readonly data: { readonly id: DatabaseId } };

export interface Watcher {
  tell(event: ControlEvent): void;
  /** No further event comes. */
  end(): void;
}

/** Sends every change to all watchers. `createApiEvents` bounds their number. */
export class Watchers {
  readonly #watchers = new Set<Watcher>();

  get size(): number {
    return this.#watchers.size;
  }

  add(watcher: Watcher): () => void {
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  tell(event: ControlEvent): void {
    for (const watcher of this.#watchers) watcher.tell(event);
  }

  close(): void {
    for (const watcher of this.#watchers) watcher.end();
    this.#watchers.clear();
  }
}
