import { checkDatabaseName } from '../../base/index.ts';
import { type Command, defineCommand, formatPairs, printJson } from '../command-line/index.ts';
import { CONNECTION_FLAGS, findPlatform, JSON_FLAG, readDatabaseDetail, urlPairs } from '../platform-api/index.ts';

export const dbCreate: Command = defineCommand({
  name: 'db create',
  summary: 'Create a database and print its URLs',
  arguments: ['NAME'],
  flags: { ...CONNECTION_FLAGS, json: JSON_FLAG },
  examples: ['dormouse db create shop', 'dormouse db create shop --json | jq -r .prismaUrl'],
  async run({ values, given, arguments: [name = ''], context, signal }) {
    checkDatabaseName(name);
    const platform = await findPlatform(values, given, context, signal);
    const database = readDatabaseDetail(await platform.request('POST', '/api/databases', { name }));
    if (values.json) {
      const { id, prismaUrl, postgresUrl, pulseUrl, apiKey } = database;
      printJson(context.stdout, { id, name: database.name, prismaUrl, postgresUrl, pulseUrl, apiKey });
    } else {
      context.stdout.write(`Created ${database.name}.\n\n${formatPairs(urlPairs(database))}`);
    }
    return 0;
  },
});
