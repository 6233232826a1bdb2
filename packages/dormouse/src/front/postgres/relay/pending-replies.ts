import { BackendMessage, FrontendMessage } from '../../../wire/index.ts';

const STATUS_IDLE = 0x49;
/** Answered entries are kept until there are so many, then cut off together. */
const ANSWERED_MAX = 1_024;

/** The messages that were sent and are to be answered, by the reply that ends each. */
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
  /** Each of these three ends with ReadyForQuery. */
  Query: 6,
  Call: 7,
  Sync: 8,
  /** The end of the data of a COPY. It has no reply of its own, and outside of a COPY the server ignores it. */
  CopyEnd: 9,
  /** A message that the server answers with an error. */
  Broken: 10,
} as const;
type Sent = (typeof Sent)[keyof typeof Sent];

/**
 * Says whether a session is idle, by the protocol's rules (section "Message Flow"): a queue of the messages that were
 * sent, which the server's answers walk through. The server answers in order. After an error of the extended protocol,
 * it skips everything up to the next Sync. While it copies in, all messages up to CopyDone or CopyFail belong to the
 * copy, including any Sync and Flush.
 *
 * The messages do not tell two things. When a COPY failed, they do not tell whether the server had read a Sync that
 * came before the end of the data. When a Query came in the middle of a pipeline, they do not tell whether a
 * transaction is open: since PostgreSQL 18, the server says at the Sync behind the Query that no transaction is open,
 * and has not committed. From then on the replies are `unsure`, and only the server knows whether it is idle
 * (`settle`).
 */
export class PendingReplies {
  #sent: Sent[] = [];
  #head = 0;
  /** After an error, the server ignores everything up to the next Sync, which was not sent yet. */
  #skipping = false;
  /** The first statement in the queue copies in. */
  #copying = false;
  /** A step of the extended protocol was done, and ReadyForQuery has not come since. */
  #open = false;
  /** The last ReadyForQuery said that no transaction is open. */
  #outside = true;
  /** A Query came between the statements of a pipeline and their Sync. */
  #piped = false;
  #unsure = false;

  /** Nothing is under way, and no transaction is open. */
  get idle(): boolean {
    return this.#head === this.#sent.length && this.#outside && !this.#open && !this.#skipping && !this.#unsure;
  }

  /** The last ReadyForQuery said that no transaction is open. */
  get outside(): boolean {
    return this.#outside;
  }

  /** Only the server knows whether the session is idle. */
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
        // If nothing is under way, there is no copy that the message could end.
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
        // A Query's rows have this message too, and there it ends nothing.
        if (this.#first === Sent.Describe) this.#answered(Sent.Describe);
        break;
      default:
        // Rows, data, and messages that the server sends by itself answer nothing.
        break;
    }
  }

  /** Takes the state that the server reports (`pg_stat_activity.state`) when nothing has passed for a while. */
  settle(state: string | undefined): void {
    if (state !== 'idle' && state?.startsWith('idle in transaction') !== true) return;
    this.#clear();
    this.#unsure = false;
    this.#outside = state === 'idle';
  }

  /**
   * The first message that is not answered. The end of a copy is skipped where there is no copy, as the server does.
   */
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
   * Whether a message repeats one that the server skips without an answer. Such repeats are not queued, since nothing
   * else keeps a client from sending them forever.
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
    // The next entries may be ends of a copy where there is no copy: they are skipped.
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
      // The server has read the data to its end, and with it every Sync before that end.
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
    // These messages are answered by ReadyForQuery, whatever came before it. An error without any message under way is
    // the end of the session.
    if (first === undefined || first === Sent.Sync || first === Sent.Query || first === Sent.Call) return;
    const sync = this.#sent.indexOf(Sent.Sync, this.#head);
    this.#head = sync < 0 ? this.#sent.length : sync;
    this.#skipping = sync < 0;
  }

  /** The place in the queue where the data of the first COPY ends, or -1 if that end was not sent yet. */
  #copyEnd(): number {
    return this.#sent.indexOf(Sent.CopyEnd, this.#head);
  }
}
