import { connect } from 'node:net';

export interface RawReply {
  readonly status: number;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

export interface RawExchange {
  /** What is written at once. */
  readonly head: string;
  readonly body?: string | Uint8Array;
  /** Afterwards: end our side, cut the connection, or say nothing more. */
  readonly afterwards?: 'half-close' | 'wait';
  readonly withinMs?: number;
}

/** One exchange over a bare socket: the bytes as given, then all that comes back until the server closes. */
export function exchange(
  base: string,
  { head, body, afterwards = 'wait', withinMs = 90_000 }: RawExchange,
): Promise<RawReply> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname);
    let text = '';
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no end within ${withinMs} ms; until then: ${text}`));
    }, withinMs);
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      const reply = parseReply(text);
      if (reply === undefined) reject(new Error(`closed without a reply: ${JSON.stringify(text)}`));
      else resolve(reply);
    });
    socket.write(head, 'latin1');
    if (body !== undefined) socket.write(body);
    if (afterwards === 'half-close') socket.end();
  });
}

function parseReply(text: string): RawReply | undefined {
  const end = text.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [first = '', ...lines] = text.slice(0, end).split('\r\n');
  const headers = new Map(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const rest = text.slice(end + 4);
  const body = headers.get('transfer-encoding') === 'chunked' ? unchunk(rest) : rest;
  return { status: Number(first.split(' ')[1]), headers, body: Buffer.from(body, 'latin1').toString('utf8') };
}

function unchunk(text: string): string {
  let out = '';
  let rest = text;
  for (;;) {
    const line = rest.indexOf('\r\n');
    const size = Number.parseInt(rest.slice(0, line), 16);
    if (!(size > 0)) return out;
    out += rest.slice(line + 2, line + 2 + size);
    rest = rest.slice(line + 4 + size);
  }
}
