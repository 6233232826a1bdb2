/** A suspended database that may be stopped for its memory. */
export interface Candidate {
  readonly bytes: number;
  /** When the database was used last, on the monotonic clock. */
  readonly usedAtMs: number;
}

/** The databases to stop so that `needBytes` come free: the least recently used first, and no more than are needed. */
export function chooseVictims<One extends Candidate>(candidates: readonly One[], needBytes: number): readonly One[] {
  if (needBytes <= 0) return [];
  const oldestFirst = [...candidates].sort((a, b) => a.usedAtMs - b.usedAtMs);
  let freed = 0;
  const enough = oldestFirst.findIndex(({ bytes }) => {
    freed += bytes;
    return freed >= needBytes;
  });
  return enough < 0 ? oldestFirst : oldestFirst.slice(0, enough + 1);
}
