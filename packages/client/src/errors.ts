/**
 * A stream has failed for good. A failure that may pass (a lost connection, a restarting server) is retried and never
 * thrown.
 */
export class DormouseStreamError extends Error {
  override readonly name: string = 'DormouseStreamError';
  /** The server's reason (`key_invalid`, `stream_gone`, `request_invalid`, …), or the client's own: `gap`, `usage`. */
  readonly reason: string;
  /** HTTP status, or 0 if none was received. */
  readonly status: number;

  constructor(reason: string, message: string, status = 0, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
    this.status = status;
  }
}

/**
 * Events are missing between the last event and the next one: the reader was away for longer than events are kept, or
 * the database was restored. State that was built from events has to be read anew. A named stream goes on behind the
 * gap when it is opened again.
 */
export class DormouseGapError extends DormouseStreamError {
  override readonly name: string = 'DormouseGapError';

  constructor() {
    super('gap', 'Events are missing here: read the data anew, then open the stream again.');
  }
}
