import { DormouseError, type Role } from '../../../base/index.ts';
import { PostgresError } from '../../../wire/index.ts';

/** The main database's name for clients; a client that names none gets it. */
export const MAIN_DATABASE = 'postgres';
/** invalid_catalog_name: there is no such database. */
const NO_SUCH_DATABASE = '3D000';

/** Which of a server's databases a client wants. */
export interface DatabaseName {
  /** The database's name for clients; the instance may have another name for the main one. */
  readonly name: string;
  /**
   * The client wrote the name that the database has in Dormouse: it means the main one, unless the owner has made one
   * of that name.
   */
  readonly ownName: boolean;
}

/**
 * Gives the database that the startup parameters name. A client that was told no database asks for one with the name of
 * the user, which is a key here: it gets the main one. Fails with `permission_denied` for a role that reaches only the
 * main one.
 */
export function wantedDatabase(
  client: ReadonlyMap<string, string>,
  role: Role,
  dormouseName: string | undefined,
): DatabaseName {
  const asked = client.get('database') ?? '';
  if (asked === '' || asked === client.get('user')) return { name: MAIN_DATABASE, ownName: false };
  const ownName = asked !== MAIN_DATABASE && asked === dormouseName;
  if (role === 'owner') return { name: asked, ownName };
  if (asked === MAIN_DATABASE || ownName) return { name: MAIN_DATABASE, ownName: false };
  throw new DormouseError('permission_denied', {
    message: `The role of this key (${role}) reaches the database "${MAIN_DATABASE}" only. Use a key with the role owner.`,
  });
}

/** Whether Postgres said that the requested database does not exist. */
export function isMissing(error: unknown): error is PostgresError {
  return error instanceof PostgresError && error.code === NO_SUCH_DATABASE;
}

/** Postgres' own error, with a hint that says what to do. */
export function missingDatabase(error: PostgresError, name: string): PostgresError {
  const quoted = `"${name.replaceAll('"', '""')}"`;
  return new PostgresError({
    ...error.fields,
    hint: `The database of this key is called "${MAIN_DATABASE}": end the URL with /${MAIN_DATABASE}. To have one called ${quoted} beside it, run CREATE DATABASE ${quoted} there.`,
  });
}
