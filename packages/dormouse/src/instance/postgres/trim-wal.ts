import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readControlFile } from './control-file.ts';
import { WAL_SEGMENT_MIB } from './settings.ts';

/**
 * Removes the WAL that a cleanly stopped server does not need any more, and the segments that it made in advance: only
 * the segment with the last checkpoint stays. Not for a directory whose slots are to be kept. Does nothing to a
 * directory that has to recover.
 */
export async function trimWal(data: string): Promise<void> {
  const { cleanlyStopped, checkpoint } = await readControlFile(data);
  if (!cleanlyStopped) return;
  const needed = segmentsOf(checkpoint);
  const wal = join(data, 'pg_wal');
  const segments = (await readdir(wal)).filter((name) => /^[0-9A-F]{24}$/.test(name));
  if (!needed.every((name) => segments.includes(name))) return;
  for (const name of segments) if (!needed.includes(name)) await rm(join(wal, name));
}

const SEGMENT_BYTES = BigInt(WAL_SEGMENT_MIB * 1024 * 1024);
/** The most bytes of a checkpoint's record: it has some 120 bytes, and page headers may come in between. */
const RECORD_BYTES_MAX = 1024n;

/** The segment files that hold a checkpoint's record, which may begin at the end of one segment and end in the next. */
export function segmentsOf(checkpoint: bigint): string[] {
  return [...new Set([segmentName(checkpoint), segmentName(checkpoint + RECORD_BYTES_MAX)])];
}

/** The segment file of a WAL location on timeline 1. */
function segmentName(lsn: bigint): string {
  const segment = lsn / SEGMENT_BYTES;
  const segmentsPerId = BigInt(4096 / WAL_SEGMENT_MIB);
  const hex = (value: bigint): string => value.toString(16).toUpperCase().padStart(8, '0');
  return `00000001${hex(segment / segmentsPerId)}${hex(segment % segmentsPerId)}`;
}
