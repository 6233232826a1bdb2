import { type Command, defineCommand, printJson } from '../command-line/index.ts';
import { JSON_FLAG } from '../platform-api/index.ts';

export const version: Command = defineCommand({
  name: 'version',
  summary: 'Print the version',
  flags: { json: JSON_FLAG },
  async run({ values, world }) {
    if (values.json) printJson(world.stdout, { version: world.version });
    else world.stdout.write(`dormouse ${world.version}\n`);
    return 0;
  },
});
