import { type Command, defineCommand, printJson } from '../command-line/index.ts';
import { CONNECTION_FLAGS, databasePath, findPlatform, JSON_FLAG, readDatabaseDetail } from '../platform-api/index.ts';

/** The commands `db suspend`, `db stop` and `db wake`, which differ only in the state that they force. */
function stateCommand(action: 'suspend' | 'stop' | 'wake', summary: string): Command {
  return defineCommand({
    name: `db ${action}`,
    summary,
    arguments: ['NAME'],
    flags: { ...CONNECTION_FLAGS, json: JSON_FLAG },
    async run({ values, given, arguments: [name = ''], context, signal }) {
      const platform = await findPlatform(values, given, context, signal);
      const began = context.monotonic();
      const database = readDatabaseDetail(await platform.request('POST', `${databasePath(name)}/${action}`));
      const ms = Math.round((context.monotonic() - began) * 10) / 10;
      if (values.json) printJson(context.stdout, { id: database.id, name: database.name, state: database.state });
      else context.stdout.write(`${database.name} is ${database.state} (${ms} ms).${deeper(action, database.state)}\n`);
      return 0;
    },
  });
}

export const dbSuspend: Command = stateCommand('suspend', 'Freeze a database in place; its next query thaws it');
export const dbStop: Command = stateCommand('stop', 'Stop a database and free its memory; its next query starts it');
export const dbWake: Command = stateCommand('wake', 'Wake a database and wait until it runs');

/** A note for a suspend that found the database stopped: it stays stopped, which frees more memory. */
function deeper(action: string, state: string): string {
  return action === 'suspend' && state === 'stopped'
    ? ' A stopped database takes no memory, so it is not suspended; `dormouse db wake` starts it.'
    : '';
}
