import type Database from 'libsql';
import { DormouseError, sqlTransaction } from '../../base/index.ts';

/** Forward migrations of `events.db`; `user_version` counts those that were applied. Only ever appended to. */
const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE epochs (
    ordinal INTEGER PRIMARY KEY,
    epoch TEXT NOT NULL UNIQUE,
    system_id TEXT,
    timeline INTEGER,
    stored_lsn INTEGER
  );
  CREATE TABLE bounds (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    tail_ordinal INTEGER NOT NULL, tail_lsn INTEGER NOT NULL, tail_index INTEGER NOT NULL,
    floor_ordinal INTEGER NOT NULL, floor_lsn INTEGER NOT NULL, floor_index INTEGER NOT NULL,
    events INTEGER NOT NULL,
    bytes INTEGER NOT NULL
  );
  CREATE TABLE relations (
    id INTEGER PRIMARY KEY,
    schema TEXT NOT NULL,
    name TEXT NOT NULL,
    columns TEXT NOT NULL,
    UNIQUE (schema, name, columns)
  );
  CREATE TABLE events (
    ordinal INTEGER NOT NULL,
    lsn INTEGER NOT NULL,
    position INTEGER NOT NULL,
    xid INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    operation INTEGER NOT NULL,
    relation INTEGER,
    before TEXT,
    after TEXT,
    PRIMARY KEY (ordinal, lsn, position)
  ) WITHOUT ROWID;
  CREATE TABLE cursors (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    ordinal INTEGER NOT NULL, lsn INTEGER NOT NULL, position INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    PRIMARY KEY (kind, subject, name)
  ) WITHOUT ROWID;
  INSERT INTO bounds VALUES (1, 0, 0, 0, 0, 0, 0, 0, 0);
  `,
  // Sizes were counted in characters before, which SQLite cannot tell without reading the value.
  `
  UPDATE bounds SET bytes =
    (SELECT coalesce(sum(64 + coalesce(octet_length(before), 0) + coalesce(octet_length(after), 0)), 0) FROM events);
  `,
  `
  CREATE TABLE noted_tables (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    text TEXT NOT NULL,
    stored_lsn INTEGER NOT NULL
  );
  `,
  // JSON: the names of the first key's columns, or null; a list of [schema, name].
  `
  CREATE TABLE tables (
    schema TEXT NOT NULL,
    name TEXT NOT NULL,
    key TEXT NOT NULL,
    ancestors TEXT NOT NULL,
    PRIMARY KEY (schema, name)
  ) WITHOUT ROWID;
  ALTER TABLE epochs ADD COLUMN plugin TEXT;
  `,
  'ALTER TABLE tables ADD COLUMN partition INTEGER NOT NULL DEFAULT 0;',
];

/** Brings the file to this version. Fails with `data_version` for a file of a later version. */
export function migrate(db: Database.Database): void {
  const row = db.prepare('PRAGMA user_version').get() as { user_version: number };
  const version = row.user_version;
  if (version > MIGRATIONS.length) throw new DormouseError('data_version');
  for (let next = version; next < MIGRATIONS.length; next++) {
    sqlTransaction(db, () => {
      db.exec(MIGRATIONS[next] as string);
      db.exec(`PRAGMA user_version = ${next + 1}`);
    });
  }
}
