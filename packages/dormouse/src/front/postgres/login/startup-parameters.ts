import { DormouseError } from '../../../base/index.ts';
import { loginSettings } from '../../../session/index.ts';
import { settingsOf } from './startup-options.ts';

const PROTOCOL_OPTION = '_pq_.';
const FALSE = new Set(['', 'false', 'off', 'no', '0', 'f', 'n']);
/** Settings that would change who a session is. Postgres refuses them too: the roles are members of nothing. */
const IDENTITY = new Set(['role', 'session_authorization']);
/**
 * Settings that a login must not bring, each with the reason. Those that only a superuser may change, Postgres refuses
 * itself (`session_preload_libraries`, `log_connections` …). All others are the client's.
 */
const REFUSED: Readonly<Record<string, string>> = {
  post_auth_delay: 'it would hold a connection for that long before anybody can end it',
  client_connection_check_interval: 'with it the server sees that a client is gone',
  local_preload_libraries: 'a library that is not there would end the login',
};

/** `_pq_.` options that a client asked for; none is known here. */
export function protocolOptions(parameters: ReadonlyMap<string, string>): string[] {
  return [...parameters.keys()].filter((name) => name.startsWith(PROTOCOL_OPTION));
}

/** Throws `permission_denied` for a setting that a login must not bring. */
function check(name: string): void {
  const setting = name.toLowerCase();
  if (IDENTITY.has(setting)) {
    throw new DormouseError('permission_denied', { message: 'A connection cannot change its role.' });
  }
  const reason = Object.hasOwn(REFUSED, setting) ? REFUSED[setting] : undefined;
  if (reason !== undefined) {
    throw new DormouseError('permission_denied', {
      message: `The setting "${setting}" cannot be given at the login: ${reason}. Take it out of the URL or of PGOPTIONS.`,
    });
  }
}

/**
 * The startup parameters of the server's session for a client's: as they came, but the user is `user`, and the database
 * `database`. Fails with `version_unsupported`, `permission_denied`.
 */
export function serverParameters(
  client: ReadonlyMap<string, string>,
  user: string,
  database: string,
): Map<string, string> {
  if (!FALSE.has((client.get('replication') ?? '').toLowerCase())) {
    throw new DormouseError('version_unsupported', {
      message: 'Replication connections are not served here. Stream changes over the HTTP port instead.',
    });
  }
  const parameters = new Map<string, string>([['user', user], ['database', database], ...loginSettings('client')]);
  for (const [name, value] of client) {
    if (name === 'user' || name === 'database' || name === 'replication' || name.startsWith(PROTOCOL_OPTION)) continue;
    if (name === 'options') for (const setting of settingsOf(value)) check(setting);
    else check(name);
    parameters.set(name, value);
  }
  return parameters;
}
