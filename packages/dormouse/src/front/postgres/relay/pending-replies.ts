import { BackendMessage, FrontendMessage } from '../../../wire/index.ts';

const STATUS_IDLE = 0x49;
/** Kept entries that were answered are cut off once there are so many. */
const ANSWERED_MAX = 1_024;

/** What was sent and is to be answered, by the reply that ends it. */
const Sent = {
  /** ParseComplete. */
  Parse: 1,
  /** BindComplete. */
  Bind: 2,
  /** CloseComplete. */
  Close: 3,
  /** RowDescription or NoData. */
  Describe: 4,
  /** CommandComplete, EmptyQueryResponse or PortalSuspended. */
  Execute: 5,
  /** ReadyForQuery, each. */
  Query: 6,
  Call: 7,
  Sync: 8,
  /** The end of the data of a COPY: no reply of its own, and nothing to the server outside of one. */
  CopyEnd: 9,
  /** What the server answers by an error. */
  Broken: 10,
} as const;
type Sent = (typeof Sent)[keyof typeof Sent];

/**
 * Whether a session is idle, by the protocol's rules (section "Message Flow"): a queue of what was sent, walked by what
 * the server answers. The server answers in order; an error of the extended protocol makes it pass over everything up
 * to the next Sync; while it copies in, what comes up to CopyDone or CopyFail belongs to the copy, any Sync and Flush
 * included.
 *
 * Two things the messages do not tell: of a COPY that failed, whether the server had read a Sync that came before the
 * end of the data; and whether a transaction is open after a Query in the middle of a pipeline, since PostgreSQL 18
 * says at the Sync behind it that none is and has not committed. From then on the replies are `unsure`, and only the
 * server knows what it does (`settle`).
 */
export class PendingReplies {
  #sent: Sent[] = [];
  #head = 0;
  /** After an error: up to the next Sync, which is not sent yet, nothing is read. */
  #skipping = false;
  /** The first in the queue copies in. */
  #copying = false;
  /** Something of the extended protocol was done, and ReadyForQuery has not come since. */
  #open = false;
  /** The last ReadyForQuery said that no transaction is open. */
  #outside = true;
  /** A Query came between the statements of a pipeline and their Sync. */
  #piped = false;
  #unsure = false;

  /** Nothing is under way, nothing is open. */
  get idle(): boolean {
    return this.#head === this.#sent.length && this.#outside && !this.#open && !this.#skipping && !this.#unsure;
  }

  /** The last ReadyForQuery said that no transaction is open. */
  get outside(): boolean {
    return this.#outside;
  }

  /** Only the server knows whether it has something to do. */
  get unsure(): boolean {
    return this.#unsure;
  }

  /** The client has sent a message of this type. */
  sent(type: number, payloadBytes: number): void {
    if (this.#unsure) return;
    switch (type) {
      case FrontendMessage.Sync:
        this.#skipping = false;
        this.#push(Sent.Sync);
        break;
      case FrontendMessage.CopyData:
      case FrontendMessage.Terminate:
        break;
      case FrontendMessage.CopyDone:
      case FrontendMessage.CopyFail:
        // With nothing in front of it there is no copy that it could end.
        if (this.#head < this.#sent.length) this.#push(Sent.CopyEnd);
        break;
      case FrontendMessage.Flush:
        if (payloadBytes > 0) this.#push(Sent.Broken);
        break;
      case FrontendMessage.Query:
        this.#push(Sent.Query);
        break;
      case FrontendMessage.FunctionCall:
        this.#push(Sent.Call);
        break;
      case FrontendMessage.Parse:
        this.#push(Sent.Parse);
        break;
      case FrontendMessage.Bind:
        this.#push(Sent.Bind);
        break;
      case FrontendMessage.Close:
        this.#push(Sent.Close);
        break;
      case FrontendMessage.Describe:
        this.#push(Sent.Describe);
        break;
      case FrontendMessage.Execute:
        this.#push(Sent.Execute);
        break;
      default:
        this.#push(Sent.Broken);
        break;
    }
  }

  /** The server has sent a message of this type; `first` is the first byte of its payload. */
  received(type: number, first: number): void {
    switch (type) {
      case BackendMessage.ReadyForQuery:
        this.#ready(first);
        break;
      case BackendMessage.ErrorResponse:
        this.#failed();
        break;
      case BackendMessage.CommandComplete:
      case BackendMessage.EmptyQueryResponse:
        this.#completed();
        break;
      case BackendMessage.CopyInResponse:
        if (this.#first === Sent.Query || this.#first === Sent.Execute) this.#copying = true;
        else this.#unsure = true;
        break;
      case BackendMessage.PortalSuspended:
        this.#answered(Sent.Execute);
        break;
      case BackendMessage.ParseComplete:
        this.#answered(Sent.Parse);
        break;
      case BackendMessage.BindComplete:
        this.#answered(Sent.Bind);
        break;
      case BackendMessage.CloseComplete:
        this.#answered(Sent.Close);
        break;
      case BackendMessage.NoData:
        this.#answered(Sent.Describe);
        break;
      case BackendMessage.RowDescription:
        // Of a Query's rows too, where it ends nothing.
        if (this.#first === Sent.Describe) this.#answered(Sent.Describe);
        break;
      default:
        // Rows, data and what comes by itself.
        break;
    }
  }

  /** What the server says that it does (`pg_stat_activity.state`), when nothing has been on its way for a while. */
  settle(state: string | undefined): void {
    if (state !== 'idle' && state?.startsWith('idle in transaction') !== true) return;
    this.#clear();
    this.#unsure = false;
    this.#outside = state === 'idle';
  }

  /** The first that is not answered; the end of a copy that is none is passed over, as the server does. */
  get #first(): Sent | undefined {
    while (this.#sent[this.#head] === Sent.CopyEnd) this.#head += 1;
    return this.#sent[this.#head];
  }

  #push(sent: Sent): void {
    if (this.#skipping) return;
    if (this.#head === this.#sent.length) {
      if (this.#head > 0) this.#sent = [];
      this.#head = 0;
    } else if (this.#repeats(sent)) {
      return;
    } else if (this.#head >= ANSWERED_MAX) {
      this.#sent.splice(0, this.#head);
      this.#head = 0;
    }
    this.#sent.push(sent);
  }

  /**
   * What the server passes over without an answer, so that nothing else holds a client back from sending it for ever.
   */
  #repeats(sent: Sent): boolean {
    if (sent !== Sent.CopyEnd && !(sent === Sent.Sync && this.#copying)) return false;
    return this.#sent[this.#sent.length - 1] === sent;
  }

  #clear(): void {
    this.#sent = [];
    this.#head = 0;
    this.#skipping = false;
    this.#copying = false;
    this.#open = false;
    this.#piped = false;
  }

  /** A step of the extended protocol is done. */
  #answered(sent: Sent): void {
    if (this.#unsure) return;
    if (this.#first !== sent) {
      this.#unsure = true;
      return;
    }
    this.#shift();
    this.#open = true;
  }

  #shift(): void {
    this.#head += 1;
    // What is behind it may be the end of a copy that was none.
    void this.#first;
  }

  #ready(status: number): void {
    this.#outside = status === STATUS_IDLE;
    if (this.#unsure) return;
    const first = this.#first;
    if (first !== Sent.Sync && first !== Sent.Query && first !== Sent.Call) {
      this.#unsure = true;
      return;
    }
    const simple = first !== Sent.Sync;
    if (this.#outside && !simple && this.#piped) this.#unsure = true;
    this.#piped = !this.#outside && (this.#piped || (simple && this.#open));
    this.#shift();
    this.#copying = false;
    this.#open = false;
  }

  #completed(): void {
    if (this.#unsure) return;
    const first = this.#first;
    if (first !== Sent.Query && first !== Sent.Execute) {
      this.#unsure = true;
      return;
    }
    if (this.#copying) {
      this.#copying = false;
      // Its data has been read to the end, and with it every Sync in front of that.
      const end = this.#copyEnd();
      if (end < 0) {
        this.#unsure = true;
        return;
      }
      this.#sent.splice(this.#head + 1, end - this.#head);
    }
    if (first === Sent.Execute) this.#answered(Sent.Execute);
  }

  #failed(): void {
    if (this.#unsure) return;
    const first = this.#first;
    if (this.#copying) {
      this.#copying = false;
      const end = this.#copyEnd();
      const sync = this.#sent.indexOf(Sent.Sync, this.#head);
      if (sync >= 0 && (end < 0 || sync < end)) {
        this.#unsure = true;
        return;
      }
    }
    // These are answered by ReadyForQuery, whatever came before it. With none of all it is the server's goodbye.
    if (first === undefined || first === Sent.Sync || first === Sent.Query || first === Sent.Call) return;
    const sync = this.#sent.indexOf(Sent.Sync, this.#head);
    this.#head = sync < 0 ? this.#sent.length : sync;
    this.#skipping = sync < 0;
  }

  /** Where the data of a COPY ends that the first in the queue makes, or -1 if that was not sent yet. */
  #copyEnd(): number {
    return this.#sent.indexOf(Sent.CopyEnd, this.#head);
  }
}
