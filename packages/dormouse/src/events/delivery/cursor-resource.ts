import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Clock, DormouseError } from '../../base/index.ts';
import type { DatabaseEvents } from '../database-events.ts';
import type { TableName } from '../log/index.ts';
import { offsetOf, positionOf } from './stream-reading.ts';
import { cursorKey, parseJson, readText } from './stream-request.ts';

/** Serves `…/cursors/NAME`: GET tells where the cursor is, POST moves it, DELETE removes it. */
export async function serveCursor(
  request: IncomingMessage,
  response: ServerResponse,
  {
    events,
    table,
    name,
    clock,
  }: {
    readonly events: DatabaseEvents;
    readonly table: TableName | undefined;
    readonly name: string;
    readonly clock: Clock;
  },
): Promise<void> {
  const key = cursorKey(table, name);
  const { log } = events;
  if (request.method === 'POST') {
    const body = parseJson(await readText(request, clock), 'The body');
    const offset = (body as { offset?: unknown } | null)?.offset;
    if (typeof offset !== 'string')
      throw new DormouseError('request_invalid', { message: 'The body must name an offset: {"offset":"…"}.' });
    await log.saveCursor(key, await positionOf(events, offset));
    response.writeHead(204, { 'cache-control': 'no-store' }).end();
  } else if (request.method === 'DELETE') {
    await log.deleteCursor(key);
    response.writeHead(204, { 'cache-control': 'no-store' }).end();
  } else if (request.method === 'GET') {
    const known = await log.cursor(key);
    if (known === undefined) throw new DormouseError('route_unknown', { message: `There is no stream named ${name}.` });
    const body = { name, offset: await offsetOf(events, known.position), updatedAtMs: known.updatedAtMs };
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    response.end(JSON.stringify(body));
  } else {
    throw new DormouseError('method_not_allowed', { meta: { allow: 'GET, POST, DELETE' } });
  }
}
