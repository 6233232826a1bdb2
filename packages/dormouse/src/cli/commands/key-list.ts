import { type Command, defineCommand, formatAge, formatTable, printJson } from '../command-line/index.ts';
import { CONNECTION_FLAGS, databasePath, findPlatform, JSON_FLAG, readKeys } from '../platform-api/index.ts';

export const keyList: Command = defineCommand({
  name: 'key list',
  summary: 'List the keys of a database',
  arguments: ['DATABASE'],
  flags: { ...CONNECTION_FLAGS, json: JSON_FLAG },
  async run({ values, given, arguments: [name = ''], context, signal }) {
    const platform = await findPlatform(values, given, context, signal);
    const keys = readKeys(await platform.request('GET', `${databasePath(name)}/keys`));
    if (values.json) {
      printJson(context.stdout, keys);
    } else if (keys.length === 0) {
      context.stdout.write(`There are no keys. Create one: dormouse key create ${name}\n`);
    } else {
      const now = context.now();
      const rows = keys.map((key) => [
        key.id,
        key.role,
        key.revokedAtMs === null ? 'live' : `revoked ${formatAge(now - key.revokedAtMs)} ago`,
        String(key.operationsToday),
        formatAge(now - key.createdAtMs),
        key.label ?? '',
      ]);
      context.stdout.write(formatTable([['ID', 'ROLE', 'STATE', 'QUERIES TODAY', 'AGE', 'LABEL'], ...rows]));
    }
    return 0;
  },
});
