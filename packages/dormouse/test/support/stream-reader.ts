import type { SeenEvent } from './ledger.ts';
import { eventSplitter } from './server-sent-events.ts';

interface StateMessage {
  readonly type?: string;
  readonly value?: { readonly text?: string | null; readonly int?: number | null } | null;
  readonly headers: {
    readonly operation?: string;
    readonly control?: string;
    readonly reason?: string;
    readonly txid?: string;
    readonly offset: string;
  };
}

function seen(messages: readonly StateMessage[], table: string): SeenEvent[] {
  const events: SeenEvent[] = [];
  for (const { type, value, headers } of messages) {
    if (headers.control !== undefined) throw new Error(`a gap in the stream: ${JSON.stringify(headers)}`);
    if (type !== table) continue;
    const { operation = '', txid = '', offset } = headers;
    events.push({ operation, txid, offset, text: value?.text ?? '', int: value?.int ?? null });
  }
  return events;
}

/** What a reader of streams needs. `base` is called each time: a platform may return under another address. */
export interface StreamSource {
  readonly base: () => string;
  readonly apiKey: string;
  /** `schema.table` whose events count. */
  readonly table: string;
}

/** All that the log holds, page by page, by plain reads. */
export async function readWholeLog(source: StreamSource): Promise<SeenEvent[]> {
  const events: SeenEvent[] = [];
  let offset = '-1';
  for (;;) {
    const reply = await fetch(`${source.base()}/streams/all?offset=${offset}`, {
      headers: { authorization: `Bearer ${source.apiKey}` },
    });
    if (reply.status !== 200) throw new Error(`reading the log: ${reply.status} ${await reply.text()}`);
    events.push(...seen((await reply.json()) as StateMessage[], source.table));
    offset = reply.headers.get('stream-next-offset') ?? '';
    if (reply.headers.get('stream-up-to-date') === 'true') return events;
  }
}

/** The offset at which the log now ends. */
export async function tailOf(source: StreamSource): Promise<string> {
  const reply = await fetch(`${source.base()}/streams/all`, {
    method: 'HEAD',
    headers: { authorization: `Bearer ${source.apiKey}` },
  });
  if (reply.status !== 200) throw new Error(`the log's tail: ${reply.status}`);
  return reply.headers.get('stream-next-offset') ?? '';
}

/**
 * A subscriber with a name, as an application would be: reads live, handles, moves its place, and comes back by name
 * whenever the connection ends. Notes everything it was given, repeats too.
 */
export class NamedSubscriber {
  readonly #source: StreamSource;
  readonly #name: string;
  readonly #ended = new AbortController();
  readonly #running: Promise<void>;
  /** As they came: repeats after a reconnect are allowed. */
  readonly received: SeenEvent[] = [];
  /** Answers other than a stream or "not now", which no fault explains. */
  readonly unclear: string[] = [];
  /** The offset behind the last that was handled. */
  place = '';
  connections = 0;

  constructor(source: StreamSource, name: string) {
    this.#source = source;
    this.#name = name;
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (!this.#ended.signal.aborted) {
      try {
        await this.#follow();
      } catch (error) {
        if (error instanceof Error && error.message.startsWith('a gap')) this.unclear.push(error.message);
      }
      // The pause of a client that was cut off; nothing waits for it to pass.
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async #follow(): Promise<void> {
    const { base, apiKey, table } = this.#source;
    const headers = { authorization: `Bearer ${apiKey}` };
    const signal = this.#ended.signal;
    const reply = await fetch(`${base()}/streams/all?name=${this.#name}&live=sse`, { headers, signal });
    if (reply.status !== 200 || reply.body === null) {
      const text = await reply.text();
      if (reply.status !== 503) this.unclear.push(`${reply.status} ${text}`);
      return;
    }
    this.connections++;
    const split = eventSplitter();
    const decoder = new TextDecoder();
    for await (const chunk of reply.body) {
      for (const { event, data } of split(decoder.decode(chunk as Uint8Array, { stream: true }))) {
        if (event === 'data') {
          this.received.push(...seen(JSON.parse(data) as StateMessage[], table));
        } else if (event === 'control') {
          const { streamNextOffset } = JSON.parse(data) as { streamNextOffset: string };
          await this.#moveTo(streamNextOffset, headers);
        }
      }
    }
  }

  async #moveTo(offset: string, headers: Record<string, string>): Promise<void> {
    const reply = await fetch(`${this.#source.base()}/streams/all/cursors/${this.#name}`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ offset }),
      signal: this.#ended.signal,
    });
    const text = await reply.text();
    if (reply.status === 204) this.place = offset;
    else if (reply.status !== 503) this.unclear.push(`moving the place: ${reply.status} ${text}`);
  }
}

/**
 * How a subscriber's events differ from the log: nothing missing, nothing out of order; a repeat goes back, then on
 * without a gap.
 */
export function checkSubscriber(received: readonly SeenEvent[], log: readonly SeenEvent[]): string[] {
  const wrong: string[] = [];
  const index = new Map(log.map((event, i) => [event.offset, i]));
  let at = -1;
  let reached = -1;
  for (const event of received) {
    const place = index.get(event.offset);
    if (place === undefined) {
      wrong.push(`${event.text} at ${event.offset} is not in the log`);
      continue;
    }
    if (place > at + 1) wrong.push(`${place - at - 1} events are missing before ${event.text}`);
    if (log[place]?.text !== event.text)
      wrong.push(`${event.offset} is ${event.text} here, ${log[place]?.text} in the log`);
    at = place;
    reached = Math.max(reached, place);
  }
  if (reached !== log.length - 1) wrong.push(`the last ${log.length - 1 - reached} events did not arrive`);
  return wrong;
}
