import type { Duplex } from 'node:stream';
import {
  Backend,
  ByteWriter,
  decodeDataRow,
  decodeErrorResponse,
  encodeQuery,
  encodeStartup,
  FrameReader,
  PROTOCOL_3_0,
  ProtocolError,
} from '../../wire/index.ts';
import { TarReader } from './tar-reader.ts';
import type { TreeWriter } from './tree-writer.ts';

/** The server sends pieces of 32 KiB. */
const FRAME_BYTES_MAX = 1024 * 1024;
/** First byte of a CopyData message of BASE_BACKUP (PostgreSQL manual, "Streaming Replication Protocol"). */
const NEW_ARCHIVE = 0x6e; // n
const CONTENT = 0x64; // d

export interface BackupStreamOptions {
  readonly socket: Duplex;
  readonly user: string;
  readonly slot: string;
  readonly into: TreeWriter;
  /** Called with each piece; the total is an estimate, without the WAL of the copy's time. */
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

/**
 * Takes a copy of a running server by BASE_BACKUP and writes it out. All WAL that the copy needs to be consistent is in
 * it: a temporary slot keeps it from being recycled meanwhile. Resolves when the server says that the backup is
 * complete. Rejects with `PostgresError`, `ProtocolError`, and what writing fails with.
 */
export function streamBackup(options: BackupStreamOptions): Promise<void> {
  const { socket, user, slot, into, onProgress } = options;
  const frames = new FrameReader({ payloadBytesMax: FRAME_BYTES_MAX });
  const writer = new ByteWriter();
  const tar = new TarReader(into);
  const keepWal = `CREATE_REPLICATION_SLOT "${slot}" TEMPORARY PHYSICAL (RESERVE_WAL)`;
  const backup = `BASE_BACKUP (LABEL 'dormouse', PROGRESS, CHECKPOINT 'fast', WAL, WAIT false, MANIFEST 'no')`;
  const statements = [keepWal, backup];
  let archives = 0;
  let totalBytes = 0;
  let copied = false;

  const take = (): 'complete' | 'more' => {
    while (frames.next()) {
      const { type, payload } = frames;
      if (type === Backend.ErrorResponse) {
        const error = decodeErrorResponse(payload);
        // The tenant may have all slots in use: without ours, a copy under very many writes fails, any other succeeds.
        if (error.fatal || statements[0] !== backup) throw error;
      }
      if (type === Backend.ReadyForQuery) {
        const next = statements.shift();
        if (next === undefined) {
          if (!copied || !tar.ended) throw new ProtocolError('the copy ended before its end');
          return 'complete';
        }
        encodeQuery(writer, next);
        socket.write(writer.take());
      } else if (type === Backend.DataRow && archives === 0 && statements.length === 0) {
        const columns = decodeDataRow(payload);
        // One row a tablespace: oid, place, size in KiB.
        if (columns.length === 3) totalBytes += Number(columns[2]?.toString() ?? 0) * 1024;
      } else if (type === Backend.CopyData) {
        if (payload[0] === NEW_ARCHIVE) {
          archives++;
          if (archives > 1) throw new ProtocolError('the database uses tablespaces, which a copy cannot follow');
        } else if (payload[0] === CONTENT) {
          tar.push(payload.subarray(1));
          onProgress(into.bytes, totalBytes);
        }
      } else if (type === Backend.CopyDone) {
        copied = true;
      }
    }
    return 'more';
  };

  return new Promise((resolve, reject) => {
    const finish = (error?: unknown): void => {
      socket.destroy();
      if (error === undefined) resolve();
      else reject(error);
    };
    socket.on('error', finish);
    socket.on('close', () => finish(new ProtocolError('the server closed the connection')));
    socket.on('data', (chunk: Buffer) => {
      try {
        frames.push(chunk);
        if (take() === 'complete') finish();
      } catch (error) {
        finish(error);
      }
    });
    // A walsender of no database: what a tenant set for his is not for us.
    encodeStartup(writer, PROTOCOL_3_0, [
      ['user', user],
      ['replication', 'true'],
      ['application_name', 'dormouse-branch'],
    ]);
    socket.write(writer.take());
  });
}
