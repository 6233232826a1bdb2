import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { readControlFile } from './control-file.ts';
import { WAL_SEGMENT_MIB } from './settings.ts';

/**
 * Removes the WAL that a cleanly stopped server needs no more, and what it made ahead of use: only the segment with the
 * last checkpoint stays. Not for a directory whose slots are to go on. Does nothing to one that has to recover.
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
/** A checkpoint's record has some 120 bytes, and page headers come in between. */
const RECORD_BYTES_MAX = 1024n;

/** The segment files that a checkpoint's record lies in: it may begin at the end of one and end in the next. */
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
