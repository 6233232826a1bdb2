/** One entry of a tar archive. */
export interface TarEntry {
  readonly name: string;
  readonly kind: 'file' | 'directory' | 'symlink';
  readonly mode: number;
  readonly size: number;
  readonly linkName: string;
}

/** Called for the content of an archive, in its order. */
export interface TarHandlers {
  onEntry(entry: TarEntry): void;
  /** A piece of the last entry's content; a view that is valid during the call only. */
  onContent(piece: Buffer): void;
  /** The last entry's content is complete. */
  onEntryEnd(): void;
}

/** The bytes are not a tar archive. */
export class TarError extends Error {
  override readonly name = 'TarError';
}

const BLOCK = 512;

/**
 * Reads a tar archive (ustar, as Postgres writes it) from pieces of any size; holds one header at most. Whatever
 * follows the end mark, which is an empty block, is ignored.
 */
export class TarReader {
  readonly #handlers: TarHandlers;
  readonly #header: Buffer = Buffer.alloc(BLOCK);
  #headerBytes = 0;
  /** Bytes of content still to come, and of padding after them. */
  #contentBytes = 0;
  #paddingBytes = 0;
  #ended = false;

  constructor(handlers: TarHandlers) {
    this.#handlers = handlers;
  }

  /** True at the archive's end mark. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Takes the next piece. Throws {@link TarError}, and what the handlers throw. */
  push(piece: Buffer): void {
    let at = 0;
    while (at < piece.length && !this.#ended) {
      const left = piece.length - at;
      if (this.#contentBytes > 0) {
        const length = Math.min(left, this.#contentBytes);
        this.#handlers.onContent(piece.subarray(at, at + length));
        this.#contentBytes -= length;
        at += length;
        if (this.#contentBytes === 0) this.#handlers.onEntryEnd();
      } else if (this.#paddingBytes > 0) {
        const length = Math.min(left, this.#paddingBytes);
        this.#paddingBytes -= length;
        at += length;
      } else {
        const length = Math.min(left, BLOCK - this.#headerBytes);
        piece.copy(this.#header, this.#headerBytes, at, at + length);
        this.#headerBytes += length;
        at += length;
        if (this.#headerBytes === BLOCK) this.#takeHeader();
      }
    }
  }

  #takeHeader(): void {
    const header = this.#header;
    this.#headerBytes = 0;
    if (header.every((byte) => byte === 0)) {
      this.#ended = true;
      return;
    }
    if (readNumber(header, 148, 8) !== checksum(header))
      throw new TarError('a header does not agree with its checksum');
    const prefix = readText(header, 345, 155);
    const name = readText(header, 0, 100);
    const entry: TarEntry = {
      name: prefix === '' ? name : `${prefix}/${name}`,
      kind: kindOf(header[156] as number),
      mode: readNumber(header, 100, 8) & 0o777,
      size: readNumber(header, 124, 12),
      linkName: readText(header, 157, 100),
    };
    const size = entry.kind === 'file' ? entry.size : 0;
    this.#contentBytes = size;
    this.#paddingBytes = (BLOCK - (size % BLOCK)) % BLOCK;
    this.#handlers.onEntry(entry);
    if (size === 0) this.#handlers.onEntryEnd();
  }
}

function kindOf(type: number): TarEntry['kind'] {
  switch (String.fromCharCode(type)) {
    case '0':
    case '\0':
      return 'file';
    case '5':
      return 'directory';
    case '2':
      return 'symlink';
    default:
      throw new TarError(`an entry of a kind that Postgres does not write (${type})`);
  }
}

function readText(header: Buffer, start: number, length: number): string {
  const field = header.subarray(start, start + length);
  const end = field.indexOf(0);
  return field.toString('utf8', 0, end < 0 ? length : end);
}

/** A number in octal digits or, where it is too large for them, in base 256 after a first byte of 0x80. */
function readNumber(header: Buffer, start: number, length: number): number {
  if (header[start] === 0x80) {
    let value = 0;
    for (let at = start + 1; at < start + length; at++) value = value * 256 + (header[at] as number);
    if (!Number.isSafeInteger(value)) throw new TarError('a number is too large');
    return value;
  }
  const text = readText(header, start, length).trim();
  if (!/^[0-7]*$/.test(text)) throw new TarError('a number is none');
  return text === '' ? 0 : Number.parseInt(text, 8);
}

/** The sum of all bytes of a header, with the bytes of the checksum itself counted as spaces. */
function checksum(header: Buffer): number {
  let sum = 8 * 0x20;
  for (let at = 0; at < BLOCK; at++) if (at < 148 || at >= 156) sum += header[at] as number;
  return sum;
}
