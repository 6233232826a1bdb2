import type { Duplex } from 'node:stream';
import { SimpleSession } from '../../session/index.ts';
import { PostgresError, ProtocolError } from '../../wire/index.ts';
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
  /** The name of the temporary slot that keeps the WAL of the copy's time. */
  readonly slot: string;
  readonly into: TreeWriter;
  /** Called with each piece; the total is an estimate, without the WAL of the copy's time. */
  readonly onProgress: (doneBytes: number, totalBytes: number) => void;
}

/**
 * Copies a running server by BASE_BACKUP and writes the copy out. All WAL that the copy needs to be consistent is in
 * it: a temporary slot keeps that WAL from being recycled meanwhile. Resolves when the server says that the backup is
 * complete. Rejects with `PostgresError`, `ProtocolError`, the socket's error, and what writing fails with.
 */
export async function streamBackup({ socket, user, slot, into, onProgress }: BackupStreamOptions): Promise<void> {
  // A session of no database, so that settings that a tenant gave the database do not apply.
  const session = await SimpleSession.open(socket, {
    parameters: [
      ['user', user],
      ['replication', 'true'],
      ['application_name', 'dormouse-branch'],
    ],
    frames: { payloadBytesMax: FRAME_BYTES_MAX },
    closed: () => new ProtocolError('the server closed the connection'),
  });
  try {
    await keepWal(session, slot);
    await copy(session, into, onProgress);
  } finally {
    session.destroy();
  }
}

/**
 * The slot may be refused, because the tenant may use all slots. Without it a copy under very many writes fails; any
 * other copy succeeds.
 */
async function keepWal(session: SimpleSession, slot: string): Promise<void> {
  try {
    await session.query(`CREATE_REPLICATION_SLOT "${slot}" TEMPORARY PHYSICAL (RESERVE_WAL)`);
  } catch (error) {
    if (!(error instanceof PostgresError) || error.fatal) throw error;
  }
}

async function copy(
  session: SimpleSession,
  into: TreeWriter,
  onProgress: BackupStreamOptions['onProgress'],
): Promise<void> {
  const tar = new TarReader(into);
  let archives = 0;
  let totalBytes = 0;
  await session.copyOut(`BASE_BACKUP (LABEL 'dormouse', PROGRESS, CHECKPOINT 'fast', WAL, WAIT false, MANIFEST 'no')`, {
    onRow(columns) {
      // One row per tablespace: oid, location, size in KiB.
      if (archives === 0 && columns.length === 3) totalBytes += Number(columns[2] ?? 0) * 1024;
    },
    onData(payload) {
      if (payload[0] === NEW_ARCHIVE) {
        archives++;
        if (archives > 1) throw new ProtocolError('the database uses tablespaces, which a copy cannot follow');
      } else if (payload[0] === CONTENT) {
        tar.push(payload.subarray(1));
        onProgress(into.bytes, totalBytes);
      }
    },
  });
  if (!tar.ended) throw new ProtocolError('the copy ended before its end');
}
