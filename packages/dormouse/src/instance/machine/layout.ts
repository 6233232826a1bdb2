import { join } from 'node:path';
import type { DatabaseId } from '../../base/index.ts';

/** Where things lie below one database's directory. */
export interface DatabaseLayout {
  /** The database's own directory; other parts keep their files of this database here too. */
  readonly directory: string;
  /** Postgres's data directory. */
  readonly data: string;
  /** Private (0700) directory of the Unix socket. */
  readonly run: string;
  /** The FIFO whose write end every process of the server holds open. */
  readonly lifeline: string;
  /** Which process was started last: see process-record. */
  readonly record: string;
  /** What Postgres writes to stderr, bounded. */
  readonly log: string;
}

/** Where things lie in one machine's data directory. */
export interface DataLayout {
  readonly root: string;
  readonly databases: string;
  readonly binaries: string;
  readonly templates: string;
  readonly lock: string;
  template(major: number): string;
  database(id: DatabaseId): DatabaseLayout;
}

/** Half-made directories carry this prefix until they are renamed into place. */
export const UNFINISHED_PREFIX = '.new-';
/** Copies of the template that wait to become databases carry this prefix, then the mark of their template. */
export const SPARE_PREFIX = '.spare-';
/**
 * Copies of a stopped database that wait to become throw-away ones carry this prefix, then its id. No start finds one
 * of use.
 */
export const COPY_PREFIX = '.copy-';
/** Directories on their way out carry this prefix. */
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

/** The layout below a database's directory, wherever it lies now. */
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
