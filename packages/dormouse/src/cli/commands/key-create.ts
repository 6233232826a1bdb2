import { DormouseError, ROLES } from '../../base/index.ts';
import { type Command, defineCommand, formatPairs, printJson } from '../command-line/index.ts';
import {
  CONNECTION_FLAGS,
  databasePath,
  findPlatform,
  JSON_FLAG,
  LABEL_FLAG,
  ROLE_FLAG,
  readKeyDetail,
  urlPairs,
} from '../platform-api/index.ts';

export const keyCreate: Command = defineCommand({
  name: 'key create',
  summary: 'Create a key for a database and print its URLs',
  arguments: ['DATABASE'],
  flags: { role: ROLE_FLAG, label: LABEL_FLAG, ...CONNECTION_FLAGS, json: JSON_FLAG },
  examples: ['dormouse key create main --role reader --label reports'],
  async run({ values, given, arguments: [name = ''], context, signal }) {
    if (!ROLES.some((role) => role === values.role)) {
      throw new DormouseError('usage_invalid', {
        message: `--role: "${values.role}" is not a role: ${ROLES.join(', ')}.`,
      });
    }
    const platform = await findPlatform(values, given, context, signal);
    const label = values.label === undefined ? {} : { label: values.label };
    const reply = await platform.request('POST', `${databasePath(name)}/keys`, { role: values.role, ...label });
    const key = readKeyDetail(reply);
    if (values.json) printJson(context.stdout, reply);
    else context.stdout.write(`Created ${key.id} (${key.role}).\n\n${formatPairs(urlPairs(key))}`);
    return 0;
  },
});
