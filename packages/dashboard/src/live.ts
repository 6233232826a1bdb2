import type { Change } from './databases.ts';

/** The part of EventSource that is used, so that a test can stand in for it. */
export interface EventStream {
  addEventListener(type: string, listener: (event: MessageEvent<string>) => void): void;
  onopen: ((event: Event) => void) | null;
  onerror: ((event: Event) => void) | null;
  close(): void;
}

export interface LiveOptions {
  open(): EventStream;
  /** False when the session has ended; throws when the platform cannot be reached. */
  hasSession(): Promise<boolean>;
  after(ms: number, run: () => void): () => void;
  onChange(change: Change): void;
  onLink(link: 'live' | 'lost'): void;
  onSignedOut(): void;
}

/** Waits between attempts double from the first to the last. */
const RETRY_MS_FIRST = 500;
const RETRY_MS_LAST = 8000;

/**
 * Follows the platform's events while the page is open. EventSource stops for good after any reply but 200, such as the
 * 401 after a restart of the platform. Therefore this class retries itself, and asks first whether the session is
 * valid.
 */
export class Live {
  readonly #options: LiveOptions;
  #stream: EventStream | undefined;
  #cancelRetry: (() => void) | undefined;
  #waitMs = RETRY_MS_FIRST;
  #stopped = false;

  constructor(options: LiveOptions) {
    this.#options = options;
    this.#connect();
  }

  /** Connects anew at once, as after a sleep of the machine or a loss of the network. */
  refresh(): void {
    if (this.#stopped) return;
    this.#disconnect();
    this.#connect();
  }

  stop(): void {
    this.#stopped = true;
    this.#disconnect();
  }

  #disconnect(): void {
    this.#stream?.close();
    this.#stream = undefined;
    this.#cancelRetry?.();
    this.#cancelRetry = undefined;
  }

  #connect(): void {
    const stream = this.#options.open();
    this.#stream = stream;
    // A stream that was replaced may still deliver queued events.
    const current = () => this.#stream === stream;
    stream.onopen = () => {
      if (!current()) return;
      this.#waitMs = RETRY_MS_FIRST;
      this.#options.onLink('live');
    };
    stream.onerror = () => {
      if (current()) this.#lost();
    };
    const on = (type: string, read: (data: never) => Change) =>
      stream.addEventListener(type, (event) => {
        if (current()) this.#options.onChange(read(JSON.parse(event.data) as never));
      });
    on('databases', (data: { databases: [] }) => ({ kind: 'databases', databases: data.databases }));
    on('state', (data: { id: string; state: string }) => ({ kind: 'state', id: data.id, state: data.state }));
    on('created', (database) => ({ kind: 'created', database }));
    on('changed', (database) => ({ kind: 'changed', database }));
    on('deleted', (data: { id: string }) => ({ kind: 'deleted', id: data.id }));
  }

  #lost(): void {
    this.#disconnect();
    this.#options.onLink('lost');
    const waitMs = this.#waitMs;
    this.#waitMs = Math.min(RETRY_MS_LAST, waitMs * 2);
    this.#cancelRetry = this.#options.after(waitMs, () => void this.#retry());
  }

  async #retry(): Promise<void> {
    const mine = this.#cancelRetry;
    const session = await this.#options.hasSession().catch(() => undefined);
    // Meanwhile `refresh` may have connected.
    if (this.#stopped || this.#cancelRetry !== mine) return;
    if (session === true) this.refresh();
    else if (session === false) this.#signedOut();
    else this.#lost();
  }

  #signedOut(): void {
    this.stop();
    this.#options.onSignedOut();
  }
}
