import { checkDatabaseName } from '../../base/index.ts';
import { readDatabaseDetail } from '../api-shapes.ts';
import { type Command, defineCommand } from '../command.ts';
import { findPlatform } from '../find-platform.ts';
import { CONNECTION_FLAGS, JSON_FLAG } from '../flags.ts';
import { formatPairs, printJson } from '../output.ts';
import { urlPairs } from '../urls.ts';

export const dbCreate: Command = defineCommand({
  name: 'db create',
  summary: 'Create a database and print its URLs',
  arguments: ['NAME'],
  flags: { ...CONNECTION_FLAGS, json: JSON_FLAG },
  examples: ['dormouse db create shop', 'dormouse db create shop --json | jq -r .prismaUrl'],
  async run({ values, given, arguments: [name = ''], world, signal }) {
    checkDatabaseName(name);
    const platform = await findPlatform(values, given, world, signal);
    const database = readDatabaseDetail(await platform.request('POST', '/api/databases', { name }));
    if (values.json) {
      const { id, prismaUrl, postgresUrl, pulseUrl, apiKey } = database;
      printJson(world.stdout, { id, name: database.name, prismaUrl, postgresUrl, pulseUrl, apiKey });
    } else {
      world.stdout.write(`Created ${database.name}.\n\n${formatPairs(urlPairs(database))}`);
    }
    return 0;
  },
});
