import type { Connection } from './connection.ts';
import { DormouseGapError, DormouseStreamError } from './errors.ts';
import type { ModelCodec } from './model.ts';
import { readServerSentEvents } from './server-sent-events.ts';

/** Pauses between attempts to connect: doubled from the shortest to the longest, each varied at random by a quarter. */
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 10_000;
/** The platform sends something at least every 15 s: after this silence the connection counts as dead. */
const SILENCE_MS_MAX = 45_000;
/** While no event is delivered, the stream's cursor is saved at most this often. */
const IDLE_ACK_MS = 5000;
/** How long the end of a loop waits for its last acknowledgement. */
const LAST_ACK_MS = 2000;

export interface StreamSettings {
  readonly connection: Connection;
  readonly codec: ModelCodec;
  readonly fetch: typeof fetch;
  readonly name: string | undefined;
  readonly filter: unknown;
  readonly signal: AbortSignal | undefined;
}

interface ChangeMessage {
  readonly value?: Readonly<Record<string, unknown>> | null;
  readonly old_value?: Readonly<Record<string, unknown>>;
  readonly headers: {
    readonly operation?: 'insert' | 'update' | 'delete';
    readonly control?: string;
    readonly reason?: string;
    readonly offset: string;
  };
}

export type AnyEvent = Readonly<Record<string, unknown>>;

/**
 * One stream of a model's events, to be iterated once. An event is acknowledged when the body of the loop has run and
 * the next event is asked for: after `break` or a throw, the last event comes again. The stream reconnects by itself
 * until it is stopped.
 */
export class DormouseStream implements AsyncIterable<AnyEvent> {
  readonly #settings: StreamSettings;
  readonly #stopped = new AbortController();
  /**
   * Aborts the request that is under way. Each request has its own controller: fetch leaves listeners on a signal, and
   * a stream may reconnect any number of times.
   */
  #attempt = new AbortController();
  readonly #streamUrl: string;
  readonly #acks: Acknowledger | undefined;
  #first: Promise<Response>;
  #iterated = false;
  #retryMs = RETRY_MS_MIN;
  /** The offset at which an unnamed stream goes on after a reconnect. */
  #offset: string | undefined;
  /** The offset of the last event whose body has run: a reconnect may bring that event again. */
  #done = '';

  constructor(settings: StreamSettings) {
    this.#settings = settings;
    const { connection, codec, name } = settings;
    const part = encodeURIComponent;
    this.#streamUrl = `${connection.origin}/streams/tables/${part(codec.schema)}/${part(codec.table)}`;
    this.#acks =
      name === undefined ? undefined : new Acknowledger(settings, `${this.#streamUrl}/cursors/${part(name)}`);
    if (settings.signal?.aborted) this.stop();
    else settings.signal?.addEventListener('abort', () => this.stop(), { once: true });
    this.#first = this.#connect();
    this.#first.catch(() => {});
  }

  /** Resolves when the stream is open: every change from then on arrives. Rejects with `DormouseStreamError`. */
  async opened(): Promise<this> {
    await this.#first;
    return this;
  }

  /** Ends the stream; a loop over it ends. */
  stop(): void {
    this.#stopped.abort();
    this.#attempt.abort();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<AnyEvent, void, void> {
    if (this.#iterated) throw new DormouseStreamError('usage', 'A stream can be iterated once. Open another.');
    this.#iterated = true;
    try {
      let response = await this.#first;
      while (!this.#stopped.signal.aborted) {
        yield* this.#read(response);
        await this.#pause();
        if (this.#stopped.signal.aborted) return;
        response = await this.#connect();
      }
    } catch (error) {
      if (!this.#stopped.signal.aborted) throw error;
    } finally {
      this.stop();
      await this.#acks?.flush(LAST_ACK_MS);
    }
  }

  async *#read(response: Response): AsyncGenerator<AnyEvent, void, void> {
    if (response.body === null) return;
    const silence = new Silence(() => void response.body?.cancel().catch(() => {}));
    try {
      for await (const { event, data } of readServerSentEvents(response.body, () => silence.broken())) {
        if (event === 'data') {
          this.#retryMs = RETRY_MS_MIN;
          for (const message of JSON.parse(data) as ChangeMessage[]) {
            const { offset } = message.headers;
            if (offset <= this.#done) continue;
            const out = this.#event(message);
            if (out !== undefined) {
              // The body may take long: silence counts only while the stream reads.
              silence.pause();
              yield out;
              silence.broken();
            }
            this.#finished(offset, message);
          }
        } else if (event === 'control') {
          const { streamNextOffset } = JSON.parse(data) as { streamNextOffset: string };
          this.#offset = streamNextOffset;
          this.#acks?.passed(streamNextOffset);
        }
      }
    } finally {
      silence.pause();
    }
  }

  #finished(offset: string, message: ChangeMessage): void {
    this.#done = offset;
    this.#offset = offset;
    this.#acks?.done(offset);
    if (message.headers.control === 'reset' && message.headers.reason === 'gap') throw new DormouseGapError();
  }

  #event({ value, old_value: old, headers }: ChangeMessage): AnyEvent | undefined {
    const { codec } = this.#settings;
    const base = { id: headers.offset, modelName: codec.name };
    switch (headers.operation) {
      case 'insert':
        return { ...base, action: 'create', created: codec.decode(value ?? {}) };
      case 'update': {
        const before = old !== undefined && codec.isWhole(old) ? codec.decode(old) : null;
        return { ...base, action: 'update', before, after: codec.decode(value ?? {}) };
      }
      case 'delete':
        return { ...base, action: 'delete', deleted: codec.decode(old ?? {}) };
      default:
        return undefined;
    }
  }

  /**
   * Connects, with retries after growing pauses. Throws `DormouseStreamError` for a refusal that no retry can change.
   */
  async #connect(): Promise<Response> {
    const { name, filter, connection, fetch: send } = this.#settings;
    const { signal } = this.#stopped;
    for (;;) {
      await this.#acks?.flush(LAST_ACK_MS);
      if (signal.aborted) throw new DormouseStreamError('stopped', 'The stream was stopped.');
      const query = new URLSearchParams({ live: 'sse' });
      if (name === undefined) query.set('offset', this.#offset ?? 'now');
      else query.set('name', name);
      if (filter !== undefined) query.set('filter', JSON.stringify(filter));
      try {
        const headers = { authorization: `Bearer ${connection.apiKey}`, accept: 'text/event-stream' };
        this.#attempt = new AbortController();
        const response = await send(`${this.#streamUrl}?${query}`, { headers, signal: this.#attempt.signal });
        if (response.ok) {
          // From here on no event is missed, even if this connection breaks before it is read.
          this.#offset ??= response.headers.get('stream-next-offset') ?? undefined;
          return response;
        }
        const error = await refusalOf(response);
        if (response.status < 500 && response.status !== 429 && response.status !== 408) throw error;
      } catch (error) {
        if (error instanceof DormouseStreamError || signal.aborted) throw error;
      }
      await this.#pause();
    }
  }

  /** The pause between two connections, which grows until an event arrives. */
  async #pause(): Promise<void> {
    const ms = this.#retryMs * (0.75 + Math.random() / 2);
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_MS_MAX);
    await sleep(ms, this.#stopped.signal);
  }
}

const GONE = 410;

async function refusalOf(response: Response): Promise<DormouseStreamError> {
  const text = await response.text().catch(() => '');
  if (response.status === GONE) return new DormouseGapError();
  try {
    const { message, meta } = JSON.parse(text) as { message?: string; meta?: { reason?: string } };
    return new DormouseStreamError(meta?.reason ?? 'refused', message ?? `Status ${response.status}`, response.status);
  } catch {
    return new DormouseStreamError(
      'refused',
      `The server refused the stream with status ${response.status}.`,
      response.status,
    );
  }
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
  });
}

/** Ends a connection that has been silent for too long. */
class Silence {
  readonly #end: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(end: () => void) {
    this.#end = end;
    this.broken();
  }
  broken(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#end, SILENCE_MS_MAX);
  }
  pause(): void {
    clearTimeout(this.#timer);
  }
}

/** Saves a named stream's cursor on the platform: one request at a time, always of the latest offset. */
class Acknowledger {
  readonly #settings: StreamSettings;
  readonly #url: string;
  #wanted = '';
  #acked = '';
  #lastMs = 0;
  #sending: Promise<void> | undefined;

  constructor(settings: StreamSettings, url: string) {
    this.#settings = settings;
    this.#url = url;
  }

  /** The body of this event has run. */
  done(offset: string): void {
    if (offset > this.#wanted) this.#wanted = offset;
    this.#send();
  }

  /** The filter let no event through up to here, and the bodies of all events before have run. */
  passed(offset: string): void {
    if (offset > this.#wanted) this.#wanted = offset;
    if (Date.now() - this.#lastMs >= IDLE_ACK_MS) this.#send();
  }

  /** Waits until the cursor is saved, for at most `ms`. */
  async flush(ms: number): Promise<void> {
    this.#send();
    if (this.#sending === undefined) return;
    const late = new AbortController();
    await Promise.race([this.#sending, sleep(ms, late.signal)]);
    late.abort();
  }

  #send(): void {
    if (this.#wanted === this.#acked) return;
    this.#sending ??= this.#post().finally(() => {
      this.#sending = undefined;
    });
  }

  async #post(): Promise<void> {
    const { connection, fetch: send } = this.#settings;
    while (this.#wanted !== this.#acked) {
      const offset = this.#wanted;
      this.#lastMs = Date.now();
      try {
        const response = await send(this.#url, {
          method: 'POST',
          headers: { authorization: `Bearer ${connection.apiKey}`, 'content-type': 'application/json' },
          body: JSON.stringify({ offset }),
        });
        await response.body?.cancel();
        if (!response.ok) return;
      } catch {
        // The cursor is not saved: the next acknowledgement or reconnect tries again. At worst an event comes twice.
        return;
      }
      this.#acked = offset;
    }
  }
}
