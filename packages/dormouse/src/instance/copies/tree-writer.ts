import { closeSync, fchownSync, lchownSync, mkdirSync, openSync, symlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { type TarEntry, TarError, type TarHandlers } from './tar-reader.ts';

/** The owner of the written files; undefined for the account of this process. */
export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Writes the entries of an archive below `root`, which exists and is empty. Uses blocking calls, for a thread of its
 * own, where they slow down the sender. Not durable. Throws the errors of the operating system.
 */
export class TreeWriter implements TarHandlers {
  readonly #root: string;
  readonly #owner: Owner | undefined;
  #file: number | undefined;
  /** Bytes of content written. */
  bytes = 0;

  constructor(root: string, owner: Owner | undefined) {
    this.#root = root;
    this.#owner = owner;
  }

  onEntry(entry: TarEntry): void {
    const path = join(this.#root, checked(entry.name));
    switch (entry.kind) {
      case 'directory':
        // The archive has an entry for its own root too.
        if (path !== join(this.#root, '.')) mkdirSync(path, { mode: entry.mode, recursive: true });
        if (this.#owner) lchownSync(path, this.#owner.uid, this.#owner.gid);
        break;
      case 'symlink':
        symlinkSync(entry.linkName, path);
        if (this.#owner) lchownSync(path, this.#owner.uid, this.#owner.gid);
        break;
      case 'file':
        this.#file = openSync(path, 'wx', entry.mode);
        if (this.#owner) fchownSync(this.#file, this.#owner.uid, this.#owner.gid);
        break;
    }
  }

  onContent(piece: Buffer): void {
    let at = 0;
    while (at < piece.length) at += writeSync(this.#file as number, piece, at);
    this.bytes += piece.length;
  }

  onEntryEnd(): void {
    if (this.#file !== undefined) closeSync(this.#file);
    this.#file = undefined;
  }

  /** Closes a file that was not finished. */
  close(): void {
    this.onEntryEnd();
  }
}

function checked(name: string): string {
  if (name.startsWith('/') || name.split('/').includes('..'))
    throw new TarError(`an entry outside of the tree: ${name}`);
  return name;
}
