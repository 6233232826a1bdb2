import { type Command, defineCommand, printJson } from '../command-line/index.ts';
import { CONNECTION_FLAGS, findPlatform, JSON_FLAG, keyPath, readKey } from '../platform-api/index.ts';

export const keyRevoke: Command = defineCommand({
  name: 'key revoke',
  summary: 'Revoke a key, which is refused from then on',
  arguments: ['DATABASE', 'KEY'],
  flags: { ...CONNECTION_FLAGS, json: JSON_FLAG },
  async run({ values, given, arguments: [name = '', id = ''], context, signal }) {
    const platform = await findPlatform(values, given, context, signal);
    const reply = await platform.request('DELETE', keyPath(name, id));
    const key = readKey(reply);
    if (values.json) printJson(context.stdout, reply);
    else context.stdout.write(`Revoked ${key.id} (${key.role}).\n`);
    return 0;
  },
});
