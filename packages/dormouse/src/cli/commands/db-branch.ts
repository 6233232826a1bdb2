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

/** Between two looks at a branch in the making: the first come fast, since small ones take some 100 ms. */
const FIRST_LOOK_MS = 20;
const LOOK_MS_MAX = 500;
/** How long an interrupted command waits for the platform to clear away what it had begun. */
const GIVE_UP_MS = 10_000;

export const dbBranch: Command = defineCommand({
  name: 'db branch',
  summary: 'Make a database that is a copy of another as it is now',
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

/** Waits until a branch is made; shows how far it is to who looks on. */
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
      return 'It was copied while it served on. Unlogged tables arrive empty.';
    case 'clone':
      return `It stood still for ${Math.ceil(branched.pausedMs)} ms. Unlogged tables arrive empty.`;
    case 'files':
      return 'It was copied at rest.';
    default:
      return '';
  }
}
