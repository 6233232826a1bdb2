import { type Command, defineCommand, printJson } from '../command-line/index.ts';
import { JSON_FLAG } from '../platform-api/index.ts';

export const version: Command = defineCommand({
  name: 'version',
  summary: 'Print the version',
  flags: { json: JSON_FLAG },
  async run({ values, context }) {
    if (values.json) printJson(context.stdout, { version: context.version });
    else context.stdout.write(`dormouse ${context.version}\n`);
    return 0;
  },
});
