import type { Socket } from 'node:net';
import type { DatabaseUrls, Platform } from '../test/support/platform.ts';
import type { RecordedRequest } from './load.ts';

/** A call of the management API; throws unless it answers 2xx. */
export async function call<T>(platform: Platform, method: string, path: string, body?: object): Promise<T> {
  const reply = await fetch(`${platform.http}/api${path}`, {
    method,
    headers: { authorization: `Bearer ${platform.adminToken}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await reply.text();
  if (!reply.ok) throw new Error(`${method} ${path}: ${reply.status} ${text}`);
  return JSON.parse(text) as T;
}

export function apiKeyOf(database: DatabaseUrls): string {
  return new URL(database.prismaUrl).searchParams.get('api_key') as string;
}

/** A recorded request, with the key of another database in its head. */
export function forKey(request: RecordedRequest, recordedKey: string, key: string): RecordedRequest {
  const text = request.toString('latin1');
  if (!text.includes(recordedKey)) throw new Error('the recorded request holds no such key');
  return Buffer.from(text.replace(recordedKey, key), 'latin1');
}

/** One request and its reply on an open connection; rejects unless it is a 200. */
export function exchange(socket: Socket, request: RecordedRequest): Promise<string> {
  return new Promise((resolve, reject) => {
    let pending = '';
    const done = (error?: Error): void => {
      socket.off('data', onData);
      socket.off('close', onClose);
      if (error === undefined) resolve(pending);
      else reject(error);
    };
    const onClose = (): void => done(new Error('the server closed a connection'));
    const onData = (chunk: Buffer): void => {
      pending += chunk.toString('latin1');
      const head = pending.indexOf('\r\n\r\n');
      if (head < 0) return;
      const length = Number(/content-length: (\d+)/i.exec(pending)?.[1]);
      if (pending.length < head + 4 + length) return;
      done(pending.startsWith('HTTP/1.1 200') ? undefined : new Error(pending));
    };
    socket.on('data', onData);
    socket.on('close', onClose);
    socket.write(request);
  });
}
