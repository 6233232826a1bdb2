import type { DatabaseId } from '../../base/index.ts';
import type { InstanceState } from './instance.ts';
import type { Server } from './server.ts';

/** A database that copies are made of. */
export interface CopySource {
  readonly databaseId: DatabaseId;
  readonly state: InstanceState;
  readonly server: Server;
  /**
   * Stops the server and runs `work` on its files. The work's signal fires when the instance is closed and, with
   * `yields`, also as soon as a caller needs the server.
   */
  whileStopped<T>(yields: boolean, work: (signal: AbortSignal) => Promise<T>): Promise<T>;
}

/** Copies of stopped databases that lie ready to become databases that are to be thrown away. */
export interface ReadyCopies {
  /**
   * Turns a ready copy of the stopped `source`, as it is now, into the database `id`; false if there is no such copy.
   */
  take(source: DatabaseId, id: DatabaseId): Promise<boolean>;
  /**
   * Begins to make copies of a source that was just copied while it was stopped: more requests are likely. Never
   * rejects.
   */
  expectMore(source: CopySource): Promise<void>;
  /** Drops the copies of a source, because it starts and changes, or is deleted. */
  forget(source: DatabaseId): void;
  /** Removes all copies and makes no more. */
  close(): Promise<void>;
}
