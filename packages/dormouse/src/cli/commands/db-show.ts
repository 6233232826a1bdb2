import { type Command, defineCommand, formatAge, formatPairs, formatSize, printJson } from '../command-line/index.ts';
import {
  ageText,
  CONNECTION_FLAGS,
  databasePath,
  findPlatform,
  JSON_FLAG,
  limitPairs,
  readDatabaseDetail,
  restPairs,
  urlPairs,
} from '../platform-api/index.ts';

export const dbShow: Command = defineCommand({
  name: 'db show',
  summary: 'Show one database with its URLs',
  arguments: ['NAME'],
  flags: { ...CONNECTION_FLAGS, json: JSON_FLAG },
  examples: ['dormouse db show main', 'psql "$(dormouse db show main --json | jq -r .postgresUrl)"'],
  async run({ values, given, arguments: [name = ''], context, signal }) {
    const platform = await findPlatform(values, given, context, signal);
    const reply = await platform.request('GET', databasePath(name));
    const database = readDatabaseDetail(reply);
    if (values.json) {
      printJson(context.stdout, reply);
      return 0;
    }
    const age = database.instance?.maintenance;
    context.stdout.write(
      formatPairs(
        [
          ['Name', database.name],
          ['Id', database.id],
          ['State', database.state],
          ['Memory', database.memoryBytes === null ? 'not known' : formatSize(database.memoryBytes)],
          ...restPairs(database.rest),
          ...limitPairs(database.limits),
          ...(age === undefined || age === null ? [] : [['Transaction age', ageText(age)] as const]),
          ['Created', `${formatAge(context.now() - database.createdAtMs)} ago`],
          ...(database.parent ? [['Branch of', database.parent.name] as const] : []),
          ['Keys', String(database.keys)],
          ['Queries today', String(database.operationsToday)],
          ...urlPairs(database),
        ],
        0,
      ),
    );
    return 0;
  },
});
