import type { IncomingMessage } from 'node:http';
import { type Clock, DormouseError } from '../../base/index.ts';
import type { CursorKey, TableName } from '../log/index.ts';

/** A body names an offset, and nothing else. */
const BODY_BYTES_MAX = 4096;
const NAME_CHARACTERS_MAX = 200;

/** What a URL below /streams stands for. */
export interface StreamTarget {
  /** Undefined: all tables. */
  readonly table: TableName | undefined;
  /** The name of a cursor resource; undefined for the stream itself. */
  readonly cursor: string | undefined;
}

/** Parses a path; fails with `route_unknown` for any other path. */
export function parseTarget(path: string): StreamTarget {
  let parts: string[];
  try {
    parts = path.split('/').slice(2).map(decodeURIComponent);
  } catch {
    throw new DormouseError('route_unknown');
  }
  const [kind, schema, name] = parts;
  const table = kind === 'tables' && schema && name ? { schema, name } : undefined;
  const rest = parts.slice(kind === 'tables' ? 3 : 1);
  if (table === undefined && kind !== 'all') throw new DormouseError('route_unknown');
  if (rest.length === 0) return { table, cursor: undefined };
  if (rest.length === 2 && rest[0] === 'cursors') return { table, cursor: checkName(rest[1] ?? '') };
  throw new DormouseError('route_unknown');
}

/** The name of a cursor; fails with `request_invalid` if it is empty or too long. */
export function checkName(name: string): string {
  if (name === '' || name.length > NAME_CHARACTERS_MAX) {
    throw new DormouseError('request_invalid', {
      message: `A stream's name must be a text of 1 to ${NAME_CHARACTERS_MAX} characters.`,
    });
  }
  return name;
}

export function cursorKey(table: TableName | undefined, name: string): CursorKey {
  const subject = table === undefined ? 'all' : JSON.stringify([table.schema, table.name]);
  return { kind: 'stream', subject, name };
}

/** Parses JSON of a request; fails with `request_invalid`, which names `what` is not JSON. */
export function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DormouseError('request_invalid', { message: `${what} is not JSON.`, cause });
  }
}

const BODY_MS = 10_000;

/** The request's body, bounded in size and time. */
export function readText(request: IncomingMessage, clock: Clock): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    const timer = clock.after(BODY_MS, () => fail('body_timeout'));
    const fail = (code: 'body_timeout' | 'body_too_large' | 'request_invalid'): void => {
      timer.cancel();
      request.pause();
      reject(new DormouseError(code));
    };
    request.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
      if (bytes > BODY_BYTES_MAX) fail('body_too_large');
      else chunks.push(chunk);
    });
    request.once('end', () => {
      timer.cancel();
      resolve(Buffer.concat(chunks).toString('utf8'));
    });
    request.once('error', () => fail('request_invalid'));
  });
}
