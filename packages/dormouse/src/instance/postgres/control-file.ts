import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { DormouseError } from '../../base/index.ts';
import { addCrc32c, CRC32C_INIT, endCrc32c } from './crc32c.ts';

/**
 * What pg_control says of a data directory (`src/include/catalog/pg_control.h`; these fields have the same offsets in
 * PostgreSQL 13 to 18).
 */
export interface ControlFile {
  readonly systemId: bigint;
  readonly version: number;
  /** Whether the server was stopped cleanly: then no WAL before the last checkpoint's segment is needed. */
  readonly cleanlyStopped: boolean;
  /** The location of the last checkpoint. */
  readonly checkpoint: bigint;
  readonly bytes: Buffer;
  /** The offset of its CRC-32C, which covers all bytes before it. */
  readonly crcOffset: number;
}

export const CONTROL_FILE: string = join('global', 'pg_control');

const SYSTEM_ID_OFFSET = 0;
const VERSION_OFFSET = 8;
const STATE_OFFSET = 16;
/** `DB_SHUTDOWNED` */
const SHUT_DOWN = 1;
const CHECKPOINT_OFFSET = 32;
/** The struct grows between versions (296 bytes in PostgreSQL 18) and must stay within one sector. */
const CRC_OFFSET_MIN = 128;
const CRC_OFFSET_MAX = 508;

/** Reads pg_control and verifies its checksum. Fails with `data_unusable`. */
export async function readControlFile(data: string): Promise<ControlFile> {
  const path = join(data, CONTROL_FILE);
  const bytes = await readFile(path);
  const crcOffset = bytes.length > CRC_OFFSET_MAX ? findCrc(bytes) : undefined;
  if (crcOffset === undefined) {
    throw new DormouseError('data_unusable', {
      message: `${path} does not agree with its own checksum. Restore the database from a backup.`,
    });
  }
  return {
    systemId: bytes.readBigUInt64LE(SYSTEM_ID_OFFSET),
    version: bytes.readUInt32LE(VERSION_OFFSET),
    cleanlyStopped: bytes.readUInt32LE(STATE_OFFSET) === SHUT_DOWN,
    checkpoint: bytes.readBigUInt64LE(CHECKPOINT_OFFSET),
    bytes,
    crcOffset,
  };
}

/** The bytes of the same file with another system identifier. */
export function withSystemId(control: ControlFile, systemId: bigint): Buffer {
  const bytes = Buffer.from(control.bytes);
  bytes.writeBigUInt64LE(systemId, SYSTEM_ID_OFFSET);
  bytes.writeUInt32LE(crcOf(bytes, control.crcOffset), control.crcOffset);
  return bytes;
}

function crcOf(bytes: Buffer, end: number): number {
  return endCrc32c(addCrc32c(CRC32C_INIT, bytes.subarray(0, end)));
}

/**
 * Finds the offset of the checksum, which differs between versions: the checksum is the value that equals the CRC-32C
 * of all bytes before it.
 */
function findCrc(bytes: Buffer): number | undefined {
  let running = addCrc32c(CRC32C_INIT, bytes.subarray(0, CRC_OFFSET_MIN));
  for (let offset = CRC_OFFSET_MIN; offset <= CRC_OFFSET_MAX; offset += 4) {
    if (endCrc32c(running) === bytes.readUInt32LE(offset)) return offset;
    running = addCrc32c(running, bytes.subarray(offset, offset + 4));
  }
  return undefined;
}
