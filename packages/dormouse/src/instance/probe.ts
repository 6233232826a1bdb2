import { connect } from 'node:net';
import {
  Backend,
  ByteWriter,
  decodeErrorResponse,
  encodeQuery,
  encodeStartup,
  encodeTerminate,
  FrameReader,
  PROTOCOL_3_0,
} from '../wire/index.ts';
import type { Endpoint } from './instance.ts';
import { SUPERUSER } from './settings.ts';

/** What a server said to one query: it works; it is starting or has no room yet (ask again); or it will not. */
export type ProbeResult = 'answers' | 'not-yet' | 'refuses';

/** SQLSTATEs of a server that will answer soon: starting up or recovering, too many connections. */
const NOT_YET: readonly (string | undefined)[] = ['57P03', '53300'];

/** One row of one column, or an error: far below. */
const PAYLOAD_BYTES_MAX = 64 * 1024;

/** Opens a connection, runs one query that gives one row, and closes it. Never rejects; silence for `timeoutMs` is a refusal. */
export function probe(endpoint: Endpoint, timeoutMs: number, sql = 'SELECT 1'): Promise<ProbeResult> {
  return new Promise((resolve) => {
    const socket = endpoint.kind === 'unix' ? connect({ path: endpoint.path }) : connect(endpoint.port, endpoint.host);
    const reader = new FrameReader({ payloadBytesMax: PAYLOAD_BYTES_MAX });
    const writer = new ByteWriter();
    let asked = false;
    let rows = 0;
    const finish = (result: ProbeResult): void => {
      socket.destroy();
      resolve(result);
    };
    const take = (): ProbeResult | undefined => {
      while (reader.next()) {
        if (reader.type === Backend.ErrorResponse) {
          return NOT_YET.includes(decodeErrorResponse(reader.payload).fields.code) ? 'not-yet' : 'refuses';
        }
        if (reader.type === Backend.DataRow) rows++;
        if (reader.type !== Backend.ReadyForQuery) continue;
        if (asked) return rows === 1 ? 'answers' : 'refuses';
        asked = true;
        encodeQuery(writer, sql);
        encodeTerminate(writer);
        socket.write(writer.take());
      }
      return undefined;
    };
    socket.setTimeout(timeoutMs, () => finish('refuses'));
    socket.on('error', () => finish('refuses'));
    socket.on('close', () => finish('refuses'));
    socket.on('connect', () => {
      encodeStartup(writer, PROTOCOL_3_0, [
        ['user', SUPERUSER],
        ['database', 'postgres'],
        // Over whatever the tenant set for his database.
        ['search_path', 'pg_catalog'],
        ['statement_timeout', '0'],
        ['transaction_timeout', '0'],
        ['local_preload_libraries', ''],
      ]);
      socket.write(writer.take());
    });
    socket.on('data', (chunk) => {
      let result: ProbeResult | undefined;
      try {
        reader.push(chunk);
        result = take();
      } catch {
        // Not the protocol: not our server.
        result = 'refuses';
      }
      if (result !== undefined) finish(result);
    });
  });
}
