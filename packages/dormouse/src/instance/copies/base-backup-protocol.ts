import type { Endpoint } from '../contract/index.ts';
import type { Owner } from './tree-writer.ts';

/** What the thread of one backup is given at its start. */
export interface BackupOrder {
  readonly endpoint: Endpoint;
  readonly user: string;
  /** The directory to fill, which exists and is empty. */
  readonly directory: string;
  readonly owner: Owner | undefined;
  /** Name of the temporary slot that keeps the WAL of the copy's time. */
  readonly slot: string;
}

/** What the thread of a backup reports. */
export type BackupReport =
  | { readonly kind: 'progress'; readonly doneBytes: number; readonly totalBytes: number }
  | { readonly kind: 'done'; readonly doneBytes: number }
  | {
      readonly kind: 'failed';
      /** The code of the operating system (`ENOSPC`), or a SQLSTATE. */
      readonly code: string | undefined;
      readonly message: string;
    };
