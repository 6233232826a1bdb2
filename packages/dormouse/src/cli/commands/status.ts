import { type Command, defineCommand, formatAge, formatPairs, formatSize, printJson } from '../command-line/index.ts';
import {
  ageText,
  CONNECTION_FLAGS,
  dashboardUrl,
  findPlatform,
  JSON_FLAG,
  readStatus,
  type Status,
} from '../platform-api/index.ts';

export const status: Command = defineCommand({
  name: 'status',
  summary: 'Show the state of the platform and the address of its dashboard',
  flags: { ...CONNECTION_FLAGS, json: JSON_FLAG },
  async run({ values, given, context, signal }) {
    const platform = await findPlatform(values, given, context, signal);
    const reply = await platform.request('GET', '/api/status');
    const now = readStatus(reply);
    const dashboard = dashboardUrl(platform.address.url, platform.address.token);
    if (values.json) {
      printJson(context.stdout, { ...(reply as object), dashboard });
      return 0;
    }
    const states = Object.entries(now.databases.byState).map(([state, count]) => `${count} ${state}`);
    context.stdout.write(
      formatPairs(
        [
          ['Dormouse', `${now.version}, running for ${formatAge(now.nowMs - now.startedAtMs)}`],
          ['Address', now.publicUrl],
          ['Region', now.region],
          ['Databases', `${now.databases.total}${states.length > 0 ? ` (${states.join(', ')})` : ''}`],
          ...(now.servers === undefined ? [] : [['Servers', describeServers(now.servers)] as const]),
          ['Memory', memoryText(now.memory)],
          ...(now.limits === undefined ? [] : limitsPair(now.limits)),
          ...(now.oldest ? [['Transaction age', `${ageText(now.oldest)} (${now.oldest.id})`] as const] : []),
          ['Queries today', String(now.operationsToday)],
          ['Dashboard', dashboard],
        ],
        0,
      ),
    );
    return 0;
  },
});

function describeServers({ pgVersion, isolation, account }: NonNullable<Status['servers']>): string {
  return `PostgreSQL ${pgVersion}, ${isolation === 'sandbox' ? 'each in a sandbox' : 'as processes'}, account ${account}`;
}

/** Empty when no database has a limit. */
function limitsPair({ enforced, reason }: NonNullable<Status['limits']>): [string, string][] {
  if (reason !== undefined) return [['Limits', `${enforced ? 'some' : 'all'} are not enforced. ${reason}`]];
  return enforced ? [['Limits', 'enforced by control groups']] : [];
}

/** Memory of all servers. A server that was not measured is counted with an assumed size, which the text says. */
function memoryText({ bytes, maxBytes, servers, measured }: Status['memory']): string {
  const most = maxBytes === null ? '' : ` of at most ${formatSize(maxBytes)}`;
  const assumed = servers > measured ? `; ${servers - measured} of ${servers} not measured, assumed` : '';
  return `${formatSize(bytes)}${most}, of the databases${assumed}`;
}
