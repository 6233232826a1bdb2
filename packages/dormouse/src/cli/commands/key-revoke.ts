import { readKey } from '../api-shapes.ts';
import { type Command, defineCommand } from '../command.ts';
import { findPlatform } from '../find-platform.ts';
import { CONNECTION_FLAGS, JSON_FLAG } from '../flags.ts';
import { printJson } from '../output.ts';
import { keyPath } from '../urls.ts';

export const keyRevoke: Command = defineCommand({
  name: 'key revoke',
  summary: 'Revoke a key: it is refused from now on',
  arguments: ['DATABASE', 'KEY'],
  flags: { ...CONNECTION_FLAGS, json: JSON_FLAG },
  async run({ values, given, arguments: [name = '', id = ''], world, signal }) {
    const platform = await findPlatform(values, given, world, signal);
    const reply = await platform.request('DELETE', keyPath(name, id));
    const key = readKey(reply);
    if (values.json) printJson(world.stdout, reply);
    else world.stdout.write(`Revoked ${key.id} (${key.role}).\n`);
    return 0;
  },
});
