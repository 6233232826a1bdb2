import { type Command, defineCommand, formatAge, formatSize, formatTable, printJson } from '../command-line/index.ts';
import { CONNECTION_FLAGS, findPlatform, JSON_FLAG, readDatabases, restCell } from '../platform-api/index.ts';

export const dbList: Command = defineCommand({
  name: 'db list',
  summary: 'List the databases and their states',
  flags: { ...CONNECTION_FLAGS, json: JSON_FLAG },
  async run({ values, given, context, signal }) {
    const platform = await findPlatform(values, given, context, signal);
    const databases = readDatabases(await platform.request('GET', '/api/databases'));
    if (values.json) {
      printJson(context.stdout, databases);
    } else if (databases.length === 0) {
      context.stdout.write('There are no databases. Create one: dormouse db create NAME\n');
    } else {
      const now = context.now();
      const rows = databases.map((one) => [
        one.name,
        one.state,
        restCell(one.rest),
        one.memoryBytes === null ? '?' : formatSize(one.memoryBytes),
        String(one.keys),
        String(one.operationsToday),
        formatAge(now - one.createdAtMs),
        one.id,
      ]);
      context.stdout.write(
        formatTable([['NAME', 'STATE', 'RESTS AFTER', 'MEMORY', 'KEYS', 'QUERIES TODAY', 'AGE', 'ID'], ...rows]),
      );
    }
    return 0;
  },
});
