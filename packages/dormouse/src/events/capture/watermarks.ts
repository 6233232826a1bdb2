import type { Lsn } from '../../wire/index.ts';

/** How far the changes of one database have come, over all of its streams. */
export class Watermarks {
  /**
   * Every transaction up to here is in the log. A stream begins here, and only this position is ever acknowledged to
   * the server.
   */
  storedLsn: Lsn = 0n;
  /** How far the server has decoded, by the keepalives of this stream; 0 before the first. */
  serverLsn: Lsn = 0n;
  /** Counts received messages and stored batches: it grows as long as capture advances. */
  steps = 0;
  /** Streams in a row that have not stored one whole transaction. */
  barrenStreams = 0;

  /** A stream begins at what is stored. */
  streamBegins(storedLsn: Lsn): void {
    this.storedLsn = storedLsn;
    this.serverLsn = 0n;
  }

  /** The server has decoded everything up to here. */
  serverAt(lsn: Lsn): void {
    if (lsn <= this.serverLsn) return;
    this.serverLsn = lsn;
    this.steps += 1;
  }

  /** Everything up to here is in the log. */
  storedUpTo(lsn: Lsn): void {
    this.barrenStreams = 0;
    this.storedLsn = lsn;
  }

  /** Transactions up to here have left nothing to store: their WAL is released like the server's own. */
  nothingUpTo(lsn: Lsn): void {
    this.barrenStreams = 0;
    if (lsn > this.serverLsn) this.serverLsn = lsn;
  }

  /** Bytes of WAL that the server has told of and the log has not stored: what the slot holds on to. */
  get lagBytes(): number {
    return Math.max(0, Number(this.serverLsn - this.storedLsn));
  }
}
