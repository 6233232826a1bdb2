import { connect } from 'node:net';

/** One recorded HTTP request: the bytes that a client put on the wire. */
export type RecordedRequest = Buffer;

/** A request, or what makes it of the body of the first reply of its unit (an id that the server gave). */
export type Step = RecordedRequest | ((firstReply: string) => RecordedRequest);
/** Requests that belong together: one after the other on one connection, timed as one. */
export type Unit = readonly Step[];

export interface LoadOptions {
  readonly host: string;
  readonly port: number;
  /** Sent in turn on every connection. */
  readonly requests: readonly (RecordedRequest | Unit)[];
  readonly connections: number;
  /** Units to finish in all; the run stops by itself. */
  readonly total: number;
}

export interface LoadResult {
  readonly seconds: number;
  readonly replies: number;
  /** Replies with another status than 2xx: a run that has any measures nothing. */
  readonly failures: number;
  readonly bodyBytes: number;
  /** Milliseconds a request, sorted. */
  readonly latencies: Float64Array;
}

/** Bytes of a recorded request. */
export function record(method: string, path: string, headers: Record<string, string>, body = ''): RecordedRequest {
  const lines = [`${method} ${path} HTTP/1.1`, 'host: 127.0.0.1'];
  for (const [name, value] of Object.entries(headers)) lines.push(`${name}: ${value}`);
  if (body !== '') lines.push(`content-length: ${Buffer.byteLength(body)}`);
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`);
}

/** Where the head of a reply ends, or -1. */
function headEnd(buffer: Buffer): number {
  const at = buffer.indexOf('\r\n\r\n');
  return at < 0 ? -1 : at + 4;
}

function bodyLength(head: string): number | 'chunked' {
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) return 'chunked';
  return Number(/\r\ncontent-length: *(\d+)/i.exec(head)?.[1] ?? 0);
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

/**
 * Sends recorded requests over `connections` keep-alive sockets, the next one on a socket as soon as its reply is whole.
 * One generator for every server under test; it reads replies without parsing their bodies.
 */
export async function load(options: LoadOptions): Promise<LoadResult> {
  const latencies = new Float64Array(options.total);
  let sent = 0;
  let done = 0;
  let failures = 0;
  let bodyBytes = 0;
  const start = performance.now();
  await Promise.all(
    Array.from(
      { length: Math.min(options.connections, options.total) },
      () =>
        new Promise<void>((resolve, reject) => {
          const socket = connect({ host: options.host, port: options.port, noDelay: true });
          let pending: Buffer = Buffer.alloc(0);
          let sentAt = 0;
          let unit: Unit = [];
          let at = 0;
          let firstReply = '';
          const send = (): void => {
            const step = unit[at] as Step;
            at += 1;
            socket.write(typeof step === 'function' ? step(firstReply) : step);
          };
          const next = (): void => {
            if (sent >= options.total) {
              socket.destroy();
              resolve();
              return;
            }
            const chosen = options.requests[sent % options.requests.length] as RecordedRequest | Unit;
            unit = Array.isArray(chosen) ? (chosen as Unit) : [chosen as RecordedRequest];
            at = 0;
            sent += 1;
            sentAt = performance.now();
            send();
          };
          socket.on('connect', next);
          socket.on('error', reject);
          socket.on('close', () => reject(new Error('the server closed a connection')));
          socket.on('data', (chunk: Buffer) => {
            pending = pending.length === 0 ? chunk : Buffer.concat([pending, chunk]);
            const head = headEnd(pending);
            if (head < 0) return;
            const text = pending.toString('latin1', 0, head);
            const length = bodyLength(text);
            const end = length === 'chunked' ? chunkedEnd(pending, head) : head + length;
            if (end < 0 || pending.length < end) return;
            bodyBytes += end - head;
            if (!/^HTTP\/1\.1 2/.test(text)) failures += 1;
            // A body of ids is short, and never chunked but by the vendor.
            if (at === 1 && unit.length > 1) firstReply = pending.toString('utf8', head, end);
            pending = pending.length === end ? Buffer.alloc(0) : pending.subarray(end);
            if (at < unit.length) {
              send();
              return;
            }
            latencies[done] = performance.now() - sentAt;
            done += 1;
            next();
          });
        }),
    ),
  );
  return {
    seconds: (performance.now() - start) / 1000,
    replies: done,
    failures,
    bodyBytes,
    latencies: latencies.subarray(0, done).sort(),
  };
}

/** The value below which `share` of the sorted values lie. */
export function percentile(sorted: ArrayLike<number>, share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}
