import type { IncomingMessage, ServerResponse } from 'node:http';
import { type Clock, DormouseError, toDormouseError } from '../../base/index.ts';
import type { Control } from '../control.ts';
import type { Admission } from './admission.ts';
import { apiError } from './api.ts';

/** Most pages that watch at the same time. */
const WATCHERS_MAX = 100;
/** The connection of a page that does not read is cut at this backlog; its browser connects again by itself. */
const BACKLOG_BYTES_MAX = 256 * 1024;
/** Shorter than the minute after which proxies cut silent connections. */
const HEARTBEAT_MS = 15_000;

export interface ApiEventsOptions {
  readonly control: Control;
  readonly admission: Admission;
  readonly clock: Clock;
}

/**
 * `GET /api/events`: the changes of databases as server-sent events (HTML standard, section 9.2). The first event is
 * `databases` with all of them; `state`, `created`, `changed` and `deleted` follow as changes happen.
 */
export function createApiEvents(
  options: ApiEventsOptions,
): (incoming: IncomingMessage, outgoing: ServerResponse) => void {
  const { admission, clock, control } = options;
  return (incoming, outgoing) => {
    let first: string;
    try {
      admit(incoming, admission, control);
      // Fails while the platform starts. The watcher is added below in the same turn, so no change is missed.
      first = frame('databases', { databases: control.listDatabases() });
    } catch (thrown) {
      const { status, headers, body } = apiError(toDormouseError(thrown));
      outgoing.writeHead(status, headers).end(body);
      return;
    }
    outgoing.writeHead(200, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
    });
    const send = (text: string): void => {
      if (outgoing.writableLength > BACKLOG_BYTES_MAX) outgoing.destroy();
      else outgoing.write(text);
    };
    const beat = (): void => {
      send(':\n\n');
      timer = clock.after(HEARTBEAT_MS, beat);
    };
    let timer = clock.after(HEARTBEAT_MS, beat);
    const remove = control.watchers.add({
      tell: ({ event, data }) => send(frame(event, data)),
      end: () => outgoing.end(),
    });
    outgoing.on('close', () => {
      timer.cancel();
      remove();
    });
    outgoing.on('error', () => {});
    send(first);
  };
}

function admit(incoming: IncomingMessage, admission: Admission, control: Control): void {
  const method = incoming.method ?? 'GET';
  const sender = {
    method,
    header: (name: string): string | undefined => {
      const value = incoming.headers[name];
      return typeof value === 'object' ? value.join(', ') : value;
    },
  };
  admission.checkOrigin(sender);
  admission.checkSender(sender);
  if (method !== 'GET') throw new DormouseError('method_not_allowed', { meta: { allow: 'GET' } });
  if (control.watchers.size >= WATCHERS_MAX) {
    throw new DormouseError('queue_full', { message: `${WATCHERS_MAX} pages watch already. Close some of them.` });
  }
}

function frame(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
