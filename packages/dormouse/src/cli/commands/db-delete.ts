import { DormouseError } from '../../base/index.ts';
import { type Command, defineCommand, printJson } from '../command-line/index.ts';
import {
  CONNECTION_FLAGS,
  databasePath,
  findPlatform,
  JSON_FLAG,
  readDatabaseDetail,
  YES_FLAG,
} from '../platform-api/index.ts';

export const dbDelete: Command = defineCommand({
  name: 'db delete',
  summary: 'Delete a database with all its data',
  arguments: ['NAME'],
  flags: { yes: YES_FLAG, ...CONNECTION_FLAGS, json: JSON_FLAG },
  async run({ values, given, arguments: [name = ''], context, signal }) {
    const platform = await findPlatform(values, given, context, signal);
    const database = readDatabaseDetail(await platform.request('GET', databasePath(name)));
    if (!values.yes) {
      if (!context.interactive) {
        throw new DormouseError('usage_invalid', {
          message: `Nothing was deleted, because no one can confirm the deletion here. To delete ${database.name} with all its data, add --yes.`,
        });
      }
      const answer = await context.ask(
        `This deletes the database ${database.name} and all its data permanently. Type the name of the database to confirm: `,
        signal,
      );
      if (answer?.trim() !== database.name) {
        throw new DormouseError('interrupted', { message: 'Nothing was deleted.' });
      }
    }
    // Deleted by its id, because a database of the same name may have been created meanwhile.
    await platform.request('DELETE', databasePath(database.id));
    if (values.json) printJson(context.stdout, { id: database.id, name: database.name });
    else context.stdout.write(`Deleted ${database.name}.\n`);
    return 0;
  },
});
