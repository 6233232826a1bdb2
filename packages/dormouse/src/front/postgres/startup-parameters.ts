import { DormouseError, type Role } from '../../base/index.ts';

/** The main database's name; a client that names none gets it. */
const MAIN_DATABASE = 'postgres';
const PROTOCOL_OPTION = '_pq_.';
const FALSE = new Set(['', 'false', 'off', 'no', '0', 'f', 'n']);
/** Settings that would change who a session is. Postgres refuses them too: the roles are members of nothing. */
const IDENTITY = new Set(['role', 'session_authorization']);
const IDENTITY_OPTION = /(^|\s)(-c\s*|--)(role|session[-_]authorization)\s*=/i;

/** `_pq_.` options that a client asked for; none is known here. */
export function protocolOptions(parameters: ReadonlyMap<string, string>): string[] {
  return [...parameters.keys()].filter((name) => name.startsWith(PROTOCOL_OPTION));
}

/**
 * The startup parameters of the server's session for a client's: as they came, but the role is the key's.
 * Fails with `request_invalid`, `permission_denied`.
 */
export function serverParameters(client: ReadonlyMap<string, string>, role: Role): Map<string, string> {
  const database = client.get('database') || MAIN_DATABASE;
  if (database !== MAIN_DATABASE && role !== 'owner') {
    throw new DormouseError('permission_denied', {
      message: `The role of this key (${role}) reaches the database "${MAIN_DATABASE}" only. Use a key with the role owner.`,
    });
  }
  if (!FALSE.has((client.get('replication') ?? '').toLowerCase())) {
    throw new DormouseError('version_unsupported', {
      message: 'Replication connections are not served here. Stream changes over the HTTP port instead.',
    });
  }
  const parameters = new Map<string, string>([
    ['user', role],
    ['database', database],
    // Set for a role or database, a library that is not there would lock everybody out, and nobody could take it back.
    ['local_preload_libraries', ''],
  ]);
  for (const [name, value] of client) {
    if (parameters.has(name) || name === 'replication' || name.startsWith(PROTOCOL_OPTION)) continue;
    // In `options` a backslash escapes the next character.
    const unescaped = value.replaceAll('\\', '');
    if (IDENTITY.has(name.toLowerCase()) || (name === 'options' && IDENTITY_OPTION.test(unescaped))) {
      throw new DormouseError('permission_denied', { message: 'A connection cannot change its role.' });
    }
    parameters.set(name, value);
  }
  return parameters;
}
