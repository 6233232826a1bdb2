import { randomBytes } from 'node:crypto';
import { open, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CONTROL_FILE, readControlFile, withSystemId } from './control-file.ts';

/**
 * The first page of a WAL segment (`XLogLongPageHeaderData`, `src/include/access/xlog_internal.h`). No checksum covers
 * it.
 */
const LONG_HEADER_BYTES = 40;
const INFO_OFFSET = 2;
const XLP_LONG_HEADER = 0x0002;
const SYSTEM_ID_OFFSET = 24;

const SEGMENT_NAME = /^[0-9A-F]{24}(\.partial)?$/;

/** A new system identifier: 63 random bits, because SQL shows it as a signed number. */
export function newSystemId(): bigint {
  return (randomBytes(8).readBigUInt64LE() >> 1n) | 1n;
}

/**
 * Gives an unused data directory another system identifier, in pg_control and in each WAL segment, so that recovery
 * accepts the segments as the directory's own. Not atomic and not durable: for a copy that does not have its name yet.
 * Fails with `data_unusable`.
 */
export async function setSystemId(data: string, systemId: bigint): Promise<void> {
  const control = await readControlFile(data);
  const wal = join(data, 'pg_wal');
  for (const name of await readdir(wal)) {
    if (SEGMENT_NAME.test(name)) await patchSegment(join(wal, name), control.systemId, systemId);
  }
  await writeFile(join(data, CONTROL_FILE), withSystemId(control, systemId), { flag: 'r+' });
}

/**
 * A segment that was made in advance is all zero, or has the content that it was recycled from: only a header of this
 * history is changed.
 */
async function patchSegment(path: string, from: bigint, to: bigint): Promise<void> {
  const file = await open(path, 'r+');
  try {
    const header = Buffer.alloc(LONG_HEADER_BYTES);
    const { bytesRead } = await file.read(header, 0, LONG_HEADER_BYTES, 0);
    if (bytesRead < LONG_HEADER_BYTES) return;
    if ((header.readUInt16LE(INFO_OFFSET) & XLP_LONG_HEADER) === 0) return;
    if (header.readBigUInt64LE(SYSTEM_ID_OFFSET) !== from) return;
    header.writeBigUInt64LE(to, SYSTEM_ID_OFFSET);
    await file.write(header, SYSTEM_ID_OFFSET, 8, SYSTEM_ID_OFFSET);
  } finally {
    await file.close();
  }
}
