import { type Command, defineCommand } from '../command.ts';
import { JSON_FLAG } from '../flags.ts';
import { printJson } from '../output.ts';

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
