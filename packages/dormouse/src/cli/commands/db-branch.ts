import { DormouseError } from '../../base/index.ts';
import { type Command, defineCommand } from '../command.ts';

export const dbBranch: Command = defineCommand({
  name: 'db branch',
  summary: 'Branch a database (not in this version)',
  arguments: ['[NAME]', '[NEW]'],
  flags: {},
  async run() {
    throw new DormouseError('usage_invalid', {
      message:
        'This version cannot branch a database yet. For a copy, pipe pg_dump of one into psql of a new one: `dormouse db create NEW`.',
    });
  },
});
