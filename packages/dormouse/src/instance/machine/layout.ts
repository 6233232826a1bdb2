import { join } from 'node:path';
import type { DatabaseId } from '../../base/index.ts';

/** The paths below one database's directory. */
export interface DatabaseLayout {
  /** The database's own directory; other stages keep their files of this database here too. */
  readonly directory: string;
  /** Postgres's data directory. */
  readonly data: string;
  /** The private (0700) directory of the Unix socket. */
  readonly run: string;
  /** The FIFO whose write end every process of the server holds open. */
  readonly lifeline: string;
  /** Names the process that was started last; see process-record. */
  readonly record: string;
  /** What Postgres writes to stderr; its size is bounded. */
  readonly log: string;
}

/** The paths in one machine's data directory. */
export interface DataLayout {
  readonly root: string;
  readonly databases: string;
  readonly binaries: string;
  readonly templates: string;
  readonly lock: string;
  template(major: number): string;
  database(id: DatabaseId): DatabaseLayout;
}

/** The prefix of half-made directories, until they are renamed into place. */
export const UNFINISHED_PREFIX = '.new-';
/** The prefix of copies of the template that wait to become databases. The mark of their template follows it. */
export const SPARE_PREFIX = '.spare-';
/**
 * The prefix of copies of a stopped database that wait to become throw-away databases. The id of their source follows
 * it. They are never synced, so no later start uses them.
 */
export const COPY_PREFIX = '.copy-';
/** The prefix of directories that are being removed. */
export const CONDEMNED_PREFIX = '.old-';

/** The layout of the data directory `root` (absolute). Touches nothing. */
export function dataLayout(root: string): DataLayout {
  const databases = join(root, 'databases');
  const templates = join(root, 'template');
  return {
    root,
    databases,
    templates,
    binaries: join(root, 'postgres'),
    lock: join(root, 'instances.lock'),
    template: (major) => join(templates, String(major)),
    database: (id) => databaseLayout(join(databases, id)),
  };
}

/** The layout below a database's directory, wherever that is now. */
export function databaseLayout(directory: string): DatabaseLayout {
  return {
    directory,
    data: join(directory, 'pgdata'),
    run: join(directory, 'run'),
    lifeline: join(directory, 'lifeline'),
    record: join(directory, 'process.json'),
    log: join(directory, 'postgres.log'),
  };
}
