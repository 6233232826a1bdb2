import { connect } from 'node:net';
import pg from 'pg';
import type { Loose } from '../support/clients.ts';

/** When a client is gone: in the middle of its request, while it waits, or while its reply comes. */
export type Moment = 'request' | 'wait' | 'reply';
export const MOMENTS: readonly Moment[] = ['request', 'wait', 'reply'];

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** One request over a bare socket that is cut at `moment`; resolves when the socket is closed. */
export function vanishOverHttp(
  prismaUrl: string,
  body: string,
  { moment, afterMs }: { readonly moment: Moment; readonly afterMs: number },
): Promise<void> {
  const url = new URL(prismaUrl);
  const head =
    `POST /query HTTP/1.1\r\nhost: ${url.host}\r\nauthorization: Bearer ${url.searchParams.get('api_key')}\r\n` +
    `content-type: application/json\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
  return new Promise((resolve) => {
    const socket = connect(Number(url.port), url.hostname);
    socket.on('error', () => {});
    socket.on('close', () => resolve());
    socket.on('connect', () => {
      socket.write(moment === 'request' ? head + body.slice(0, body.length / 2) : head + body);
      if (moment !== 'reply') setTimeout(() => socket.destroy(), afterMs);
    });
    socket.on('data', () => socket.destroy());
  });
}

/** A session over TCP that is cut while a statement runs or its rows come. */
export async function vanishOverTcp(postgresUrl: string, sql: string, afterMs: number): Promise<void> {
  const client = new pg.Client({ connectionString: postgresUrl });
  client.on('error', () => {});
  await client.connect();
  const ended = new Promise<void>((resolve) => client.once('end', () => resolve()));
  client.query(sql).catch(() => {});
  await pause(afterMs);
  (client as Loose).connection.stream.destroy();
  await ended;
}
