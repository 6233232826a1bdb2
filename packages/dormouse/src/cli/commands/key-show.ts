import { type Command, defineCommand, formatPairs, printJson } from '../command-line/index.ts';
import { CONNECTION_FLAGS, findPlatform, JSON_FLAG, keyPath, readKeyDetail, urlPairs } from '../platform-api/index.ts';

export const keyShow: Command = defineCommand({
  name: 'key show',
  summary: 'Show one key of a database with its URLs',
  arguments: ['DATABASE', 'KEY'],
  flags: { ...CONNECTION_FLAGS, json: JSON_FLAG },
  async run({ values, given, arguments: [name = '', id = ''], context, signal }) {
    const platform = await findPlatform(values, given, context, signal);
    const reply = await platform.request('GET', keyPath(name, id));
    const key = readKeyDetail(reply);
    if (values.json) {
      printJson(context.stdout, reply);
    } else {
      const state = key.revokedAtMs === null ? 'live' : 'revoked';
      context.stdout.write(formatPairs([['Key', key.id], ['Role', key.role], ['State', state], ...urlPairs(key)], 0));
    }
    return 0;
  },
});
