import { DormouseError } from '../../base/index.ts';
import type { CursorKey, LogCursor } from './event-log.ts';
import { comparePositions, type Position, positionOf } from './position.ts';
import type { PositionRow, SqlFile } from './sql-file.ts';

/** The cursors of a log: the named places of its readers. */
export class LogCursors {
  readonly #file: SqlFile;
  readonly #cursorsMax: number;

  constructor(file: SqlFile, cursorsMax: number) {
    this.#file = file;
    this.#cursorsMax = cursorsMax;
  }

  get(key: CursorKey): LogCursor | undefined {
    const row = this.#file.get<PositionRow & { updated_at_ms: bigint }>(
      'SELECT ordinal, lsn, position, updated_at_ms FROM cursors WHERE kind = ? AND subject = ? AND name = ?',
      key.kind,
      key.subject,
      key.name,
    );
    return row && { key, position: positionOf(row), updatedAtMs: Number(row.updated_at_ms) };
  }

  save(key: CursorKey, position: Position, nowMs: number): LogCursor {
    const known = this.get(key);
    if (known === undefined) {
      const count = this.#file.get<{ count: bigint }>('SELECT count(*) AS count FROM cursors');
      if (Number(count?.count) >= this.#cursorsMax) {
        throw new DormouseError('quota_exceeded', {
          message: `This database keeps ${this.#cursorsMax} named streams already. Delete those that are no longer read.`,
        });
      }
    } else if (comparePositions(position, known.position) < 0) {
      return known;
    }
    this.#file.run(
      'INSERT OR REPLACE INTO cursors VALUES (?, ?, ?, ?, ?, ?, ?)',
      key.kind,
      key.subject,
      key.name,
      position.ordinal,
      position.lsn,
      position.index,
      nowMs,
    );
    return { key, position, updatedAtMs: nowMs };
  }

  delete(key: CursorKey): void {
    this.#file.run('DELETE FROM cursors WHERE kind = ? AND subject = ? AND name = ?', key.kind, key.subject, key.name);
  }

  all(): LogCursor[] {
    const rows = this.#file.all<PositionRow & { kind: string; subject: string; name: string; updated_at_ms: bigint }>(
      'SELECT * FROM cursors ORDER BY kind, subject, name',
    );
    return rows.map((row) => ({
      key: { kind: row.kind as CursorKey['kind'], subject: row.subject, name: row.name },
      position: positionOf(row),
      updatedAtMs: Number(row.updated_at_ms),
    }));
  }
}
