import path from 'node:path';
import { DormouseError } from '../../base/index.ts';
import type { ProcessContext } from '../command-line/index.ts';
import type { ConnectionValues } from './flags.ts';
import { type PlatformClient, platformClient } from './platform-client.ts';

/** The running platform writes this file into its data directory; only the platform's account can read it. */
const ADMIN_FILE = 'admin.json';

/** The default data directory. Root has another one, because the account of Postgres cannot enter root's home. */
function defaultDataDirectory(context: Pick<ProcessContext, 'userId' | 'workingDirectory'>): string {
  return context.userId === 0 ? '/var/lib/dormouse' : path.join(context.workingDirectory, '.dormouse');
}

/** The absolute path of the data directory that the flags name. */
export function dataDirectory(
  data: string | undefined,
  context: Pick<ProcessContext, 'userId' | 'workingDirectory'>,
): string {
  return data === undefined ? defaultDataDirectory(context) : path.resolve(context.workingDirectory, data);
}

/**
 * Finds the platform of a command by `--url` and `--token`, else by the environment, else by the file in the data
 * directory. The token of a data directory is sent only to the address in the same file and to loopback addresses,
 * unless `--data` was given. Throws `platform_unreachable` when no platform runs, `admin_token_invalid` when there is
 * no token for the address.
 */
export async function findPlatform(
  values: ConnectionValues,
  given: ReadonlySet<string>,
  context: ProcessContext,
  signal: AbortSignal,
): Promise<PlatformClient> {
  const directory = dataDirectory(values.data, context);
  const file = path.join(directory, ADMIN_FILE);
  const complete = values.url !== undefined && values.token !== undefined;
  const written = complete ? undefined : await readAdminFile(file, context);

  const url = values.url ?? written?.url;
  if (url === undefined) {
    throw new DormouseError('platform_unreachable', {
      message: `No Dormouse runs on ${directory}. Start one with \`dormouse start\`, or name it with --data or --url.`,
    });
  }
  const trusted = given.has('data') || isLoopback(url) || url === written?.url;
  const token = values.token ?? (trusted ? written?.adminToken : undefined);
  if (token === undefined) {
    throw new DormouseError('admin_token_invalid', {
      message: `There is no admin token for ${url}. Give it with --token or DORMOUSE_TOKEN, or name the platform's data directory with --data.`,
    });
  }
  const source = given.has('url') ? '--url' : values.url !== undefined ? 'DORMOUSE_URL' : file;
  return platformClient({ url, token, source }, context.fetch, signal);
}

function isLoopback(url: string): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(new URL(url).hostname);
}

async function readAdminFile(
  file: string,
  context: ProcessContext,
): Promise<{ url: string; adminToken: string } | undefined> {
  let text: string | undefined;
  try {
    text = await context.readFile(file);
  } catch (cause) {
    throw new DormouseError('data_unusable', {
      cause,
      message: `${file} cannot be read (${(cause as { code?: string }).code ?? 'error'}). Run this as the account that runs Dormouse, or set DORMOUSE_URL and DORMOUSE_TOKEN.`,
    });
  }
  if (text === undefined) return undefined;
  try {
    const { url, adminToken } = JSON.parse(text) as Record<string, unknown>;
    if (typeof url === 'string' && typeof adminToken === 'string') return { url, adminToken };
  } catch {
    // A file that is not JSON is reported below.
  }
  throw new DormouseError('data_unusable', {
    message: `${file} is not what a running Dormouse writes. Start the platform again, or set DORMOUSE_URL and DORMOUSE_TOKEN.`,
  });
}
