import { connect } from 'node:net';

/** One recorded HTTP request: the bytes that a client put on the wire. */
export type RecordedRequest = Buffer;

/** A request, or what makes it of the body of the first reply of its unit (an id that the server gave). */
export type Step = RecordedRequest | ((firstReply: string) => RecordedRequest);
/** Requests that belong together: one after the other on one connection, timed as one. */
export type Unit = readonly Step[];
/** The units of a run, by their number. */
export type Units = (turn: number) => Unit;

export interface LoadOptions {
  readonly host: string;
  readonly port: number;
  /** Sent in turn, over all connections. */
  readonly units: Units;
  readonly connections: number;
  /** No unit begins after this time. */
  readonly seconds?: number;
  /** Units to finish in all. */
  readonly total?: number;
}

export interface LoadResult {
  readonly seconds: number;
  /** Units that were answered. */
  readonly done: number;
  /** Replies with another status than 2xx: a run that has any measures nothing. */
  readonly failures: number;
  readonly bodyBytes: number;
  /** Milliseconds per unit, sorted. */
  readonly latencies: Float64Array;
}

/** Bytes of a recorded request. */
export function record(method: string, path: string, headers: Record<string, string>, body = ''): RecordedRequest {
  const lines = [`${method} ${path} HTTP/1.1`, 'host: 127.0.0.1'];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  if (body !== '') lines.push(`content-length: ${Buffer.byteLength(body)}`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** Recorded requests in turn, each a unit of its own. */
export function inTurn(requests: readonly RecordedRequest[]): Units {
  const units = requests.map((request): Unit => [request]);
  return (turn) => units[turn % units.length] as Unit;
}

/** What one socket reads at once; more comes in the next read. */
const READ_BYTES = 64 * 1024;
const STATUS_AT = 'HTTP/1.1 '.length;
const TWO = 0x32;

/**
 * Sends units over `connections` keep-alive sockets, the next one on a socket as soon as its reply is whole, until time
 * or the count of units is used up. One generator for every server under test. It shares the machine's cores with them,
 * so it does little: it reads replies into one buffer per socket and never parses their bodies.
 */
export async function load(options: LoadOptions): Promise<LoadResult> {
  const { units, connections, total = Number.POSITIVE_INFINITY, seconds = Number.POSITIVE_INFINITY } = options;
  if (total === Number.POSITIVE_INFINITY && seconds === total) throw new Error('a run needs an end');
  const latencies: number[] = [];
  let sent = 0;
  let failures = 0;
  let bodyBytes = 0;
  const startedMs = performance.now();
  const endMs = startedMs + seconds * 1000;
  const run = (): Promise<void> =>
    new Promise<void>((resolve, reject) => {
      let sentAtMs = 0;
      let unit: Unit = [];
      let at = 0;
      let firstReply = '';
      const reply = new ReplyReader();
      const send = (): void => {
        const step = unit[at] as Step;
        at += 1;
        socket.write(typeof step === 'function' ? step(firstReply) : step);
      };
      const next = (nowMs: number): void => {
        if (sent >= total || nowMs >= endMs) {
          socket.destroy();
          resolve();
          return;
        }
        unit = units(sent);
        at = 0;
        sent += 1;
        sentAtMs = nowMs;
        send();
      };
      const answered = (): void => {
        bodyBytes += reply.bodyBytes;
        if (!reply.ok) failures += 1;
        if (at < unit.length) {
          if (at === 1) firstReply = reply.body();
          send();
          return;
        }
        const nowMs = performance.now();
        latencies.push(nowMs - sentAtMs);
        next(nowMs);
      };
      const socket = connect({
        host: options.host,
        port: options.port,
        noDelay: true,
        onread: {
          buffer: Buffer.allocUnsafeSlow(READ_BYTES),
          callback: (length, buffer) => {
            if (reply.push(buffer as Buffer, length)) answered();
            return true;
          },
        },
      });
      socket.on('connect', () => next(performance.now()));
      socket.on('error', reject);
      socket.on('close', () => reject(new Error('the server closed a connection')));
    });
  await Promise.all(Array.from({ length: Math.min(connections, total) }, run));
  return {
    seconds: (performance.now() - startedMs) / 1000,
    done: latencies.length,
    failures,
    bodyBytes,
    latencies: Float64Array.from(latencies).sort(),
  };
}

/** One reply at a time, as it arrives. */
class ReplyReader {
  ok = false;
  bodyBytes = 0;
  /** What came before, where a reply takes several reads whose bytes must be looked at together. */
  #kept: Buffer | undefined;
  /** The reply of one read, or of several. */
  #bytes: Buffer = Buffer.alloc(0);
  #head = 0;
  /** Bytes still to come of a reply whose length is known. */
  #missing = 0;

  /** Says whether the reply is whole. The bytes are looked at until the next read. */
  push(buffer: Buffer, length: number): boolean {
    if (this.#missing > 0) {
      this.#missing -= length;
      return this.#missing === 0;
    }
    const chunk = buffer.subarray(0, length);
    const bytes = this.#kept === undefined ? chunk : Buffer.concat([this.#kept, chunk]);
    const headEnd = bytes.indexOf('\r\n\r\n');
    if (headEnd < 0) return this.#keep(bytes);
    const head = headEnd + 4;
    const text = bytes.toString('latin1', 0, head);
    const declared = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
    this.ok = bytes[STATUS_AT] === TWO;
    this.#bytes = bytes;
    this.#head = head;
    if (declared === undefined && /\r\ntransfer-encoding: *chunked/i.test(text)) {
      const end = chunkedEnd(bytes, head);
      if (end < 0) return this.#keep(bytes);
      this.bodyBytes = end - head;
    } else {
      this.bodyBytes = Number(declared ?? 0);
      this.#missing = head + this.bodyBytes - bytes.length;
    }
    this.#kept = undefined;
    return this.#missing === 0;
  }

  /** The body, of a reply that came in one read: short ones, with ids. */
  body(): string {
    return this.#bytes.toString('utf8', this.#head, this.#head + this.bodyBytes);
  }

  #keep(bytes: Buffer): false {
    this.#kept = Buffer.from(bytes);
    return false;
  }
}

/** End of a chunked body that starts at `from`, or -1 while it is not whole. */
function chunkedEnd(buffer: Buffer, from: number): number {
  let at = from;
  for (;;) {
    const line = buffer.indexOf('\r\n', at);
    if (line < 0) return -1;
    const size = Number.parseInt(buffer.toString('latin1', at, line), 16);
    at = line + 2 + size + 2;
    if (at > buffer.length) return -1;
    if (size === 0) return at;
  }
}

/** The value below which `share` of the sorted values lie. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
