import { connect } from 'node:net';
import type { Endpoint } from './instance.ts';
import { SUPERUSER } from './settings.ts';

/** Version 3.0 of the protocol. */
const PROTOCOL = 196608;

function message(type: string, body: Buffer): Buffer {
  const head = Buffer.alloc(type.length + 4);
  head.write(type, 0, 'latin1');
  head.writeInt32BE(body.length + 4, type.length);
  return Buffer.concat([head, body]);
}

function startup(): Buffer {
  const version = Buffer.alloc(4);
  version.writeInt32BE(PROTOCOL);
  return message('', Buffer.concat([version, Buffer.from(`user\0${SUPERUSER}\0database\0postgres\0\0`)]));
}

/** What a server said to one query: it works; it is starting or has no room yet (ask again); or it will not. */
export type ProbeResult = 'answers' | 'not-yet' | 'refuses';

/** SQLSTATEs of a server that will answer soon: starting up or recovering (57P03), too many connections (53300). */
const NOT_YET = ['57P03', '53300'];

/** Opens a connection, runs one query and closes it. Never rejects; silence for `timeoutMs` is a refusal. */
export function probe(endpoint: Endpoint, timeoutMs: number): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = endpoint.kind === 'unix' ? connect({ path: endpoint.path }) : connect(endpoint.port, endpoint.host);
    let received = Buffer.alloc(0);
    let ready = 0;
    let rows = 0;
    const finish = (result: ProbeResult): void => {
      socket.destroy();
      resolve(result);
    };
    socket.setTimeout(timeoutMs, () => finish('refuses'));
    socket.on('error', () => finish('refuses'));
    socket.on('close', () => finish('refuses'));
    socket.on('connect', () => socket.write(startup()));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      while (received.length >= 5 && received.length >= 1 + received.readInt32BE(1)) {
        const length = 1 + received.readInt32BE(1);
        const type = String.fromCharCode(received[0] ?? 0);
        const body = received.toString('utf8', 5, length);
        received = received.subarray(length);
        if (type === 'E') {
          const state = /(?:^|\0)C(?<code>[0-9A-Z]{5})\0/.exec(body)?.groups?.code ?? '';
          return finish(NOT_YET.includes(state) ? 'not-yet' : 'refuses');
        }
        if (type === 'D') rows++;
        if (type !== 'Z') continue;
        if (ready++ === 0) socket.write(message('Q', Buffer.from('SELECT 1\0')));
        else {
          socket.write(message('X', Buffer.alloc(0)));
          return finish(rows === 1 ? 'answers' : 'refuses');
        }
      }
    });
  });
}
