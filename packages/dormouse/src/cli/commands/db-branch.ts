import { checkDatabaseName, DormouseError } from '../../base/index.ts';
import type { ProcessContext } from '../command-line/index.ts';
import { type Command, defineCommand, formatPairs, formatSize, printJson } from '../command-line/index.ts';
import type { PlatformClient } from '../platform-api/index.ts';
import {
  AT_REST_FLAG,
  type BranchDetail,
  CONNECTION_FLAGS,
  databasePath,
  findPlatform,
  JSON_FLAG,
  readBranchDetail,
  urlPairs,
} from '../platform-api/index.ts';

/**
 * Time between two requests for the progress of a branch. The first are short, since a small branch takes about 100 ms.
 */
const FIRST_LOOK_MS = 20;
const LOOK_MS_MAX = 500;
/** How long an interrupted command waits until the platform has removed the unfinished branch. */
const GIVE_UP_MS = 10_000;

export const dbBranch: Command = defineCommand({
  name: 'db branch',
  summary: 'Create a database as a copy of the present state of another',
  arguments: ['SOURCE', 'NAME'],
  flags: { atRest: AT_REST_FLAG, ...CONNECTION_FLAGS, json: JSON_FLAG },
  examples: ['dormouse db branch shop shop-try', 'dormouse db branch shop shop-try --json | jq -r .prismaUrl'],
  async run({ values, given, arguments: [source = '', name = ''], context, signal }) {
    checkDatabaseName(name);
    const platform = await findPlatform(values, given, context, signal);
    const began = context.monotonic();
    const begun = readBranchDetail(
      await platform.request('POST', `${databasePath(source)}/branches`, { name, atRest: values.atRest, wait: false }),
    );
    let branch: BranchDetail;
    try {
      branch = await follow(begun, platform, context, signal, values.json);
    } catch (error) {
      if (!signal.aborted) throw error;
      const late = AbortSignal.timeout(GIVE_UP_MS);
      await (await findPlatform(values, given, context, late)).request('DELETE', databasePath(begun.id));
      throw new DormouseError('interrupted', { message: `Interrupted. Nothing of ${name} is left.` });
    }
    const { id, prismaUrl, postgresUrl, pulseUrl, apiKey } = branch;
    if (values.json) {
      printJson(context.stdout, { id, name: branch.name, prismaUrl, postgresUrl, pulseUrl, apiKey });
    } else {
      const seconds = ((context.monotonic() - began) / 1000).toFixed(1);
      context.stdout.write(
        `Branched ${source} as ${name} in ${seconds} s. ${describe(branch)}\n\n${formatPairs(urlPairs(branch))}`,
      );
    }
    return 0;
  },
});

/** Waits until a branch is made, and shows its progress on a terminal. */
async function follow(
  begun: BranchDetail,
  platform: PlatformClient,
  context: ProcessContext,
  signal: AbortSignal,
  silent: boolean,
): Promise<BranchDetail> {
  const shows = context.stderr.isTTY && !silent;
  let branch = begun;
  let shown = '';
  try {
    for (let waitMs = FIRST_LOOK_MS; branch.state === 'creating'; waitMs = Math.min(2 * waitMs, LOOK_MS_MAX)) {
      await context.sleep(waitMs, signal);
      branch = readBranchDetail(await platform.request('GET', databasePath(begun.id)));
      if (!shows || branch.progress === null) continue;
      const { doneBytes, totalBytes } = branch.progress;
      const line = `Copying: ${formatSize(doneBytes)} of about ${formatSize(totalBytes)}`;
      context.stderr.write(`\r${line.padEnd(shown.length)}`);
      shown = line;
    }
  } finally {
    if (shown !== '') context.stderr.write(`\r${' '.repeat(shown.length)}\r`);
  }
  return branch;
}

function describe({ branched }: BranchDetail): string {
  switch (branched?.way) {
    case 'stream':
      return 'The source kept serving during the copy. Unlogged tables are empty in the copy.';
    case 'clone':
      return `The source was paused for ${Math.ceil(branched.pausedMs)} ms. Unlogged tables are empty in the copy.`;
    case 'files':
      return 'The source was stopped during the copy.';
    default:
      return '';
  }
}
