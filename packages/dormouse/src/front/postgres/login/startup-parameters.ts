import { DormouseError } from '../../../base/index.ts';
import { loginSettings } from '../../../session/index.ts';
import { settingsOf } from './startup-options.ts';

const PROTOCOL_OPTION = '_pq_.';
const FALSE = new Set(['', 'false', 'off', 'no', '0', 'f', 'n']);
/** Settings that would change the session's role. Postgres refuses them too: the roles are members of no other role. */
const IDENTITY = new Set(['role', 'session_authorization']);
/**
 * Settings that a login must not bring, each with the reason. Settings that only a superuser may change are refused by
 * Postgres itself (`session_preload_libraries`, `log_connections` …). The client may bring any other setting.
 */
const REFUSED: Readonly<Record<string, string>> = {
  post_auth_delay: 'it would hold a connection for that long, and the connection could not be ended',
  client_connection_check_interval: 'with it the server sees that a client is gone',
  local_preload_libraries: 'a library that is not there would end the login',
};

/** The `_pq_.` options that a client asked for; Dormouse knows none. */
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
 * Makes the startup parameters of the session in the server from the client's: the same, except for the user and the
 * database, and with the settings of the platform. Fails with `version_unsupported`, `permission_denied`.
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
