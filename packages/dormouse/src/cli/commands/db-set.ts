import { DormouseError } from '../../base/index.ts';
import { type Command, defineCommand, formatPairs, printJson } from '../command-line/index.ts';
import {
  CONNECTION_FLAGS,
  DATABASE_LIMIT_FLAGS,
  DATABASE_REST_FLAGS,
  type DatabaseLimitValues,
  type DatabaseRestValues,
  databasePath,
  findPlatform,
  JSON_FLAG,
  limitPairs,
  readDatabaseDetail,
  restPairs,
} from '../platform-api/index.ts';

/** The change to ask for: only the settings whose flags were given. Throws `usage_invalid`. */
function patchOf(values: DatabaseRestValues & DatabaseLimitValues): Readonly<Record<string, unknown>> {
  const patch: Record<string, unknown> = {};
  if (values.suspendAfter !== undefined) patch.suspendAfterMs = timeOf(values.suspendAfter);
  if (values.stopAfter !== undefined) patch.stopAfterMs = timeOf(values.stopAfter);
  const alwaysOn = either('always-on', values.alwaysOn, values.noAlwaysOn);
  if (alwaysOn !== undefined) patch.alwaysOn = alwaysOn;
  const listen = either('listen-keeps-awake', values.listenKeepsAwake, values.noListenKeepsAwake);
  if (listen !== undefined) patch.listenKeepsAwake = listen;
  const limits = {
    memoryLimitBytes: values.memoryLimit,
    cpuLimit: values.cpuLimit,
    cpuWeight: values.cpuWeight,
    processLimit: values.processLimit,
    tempLimitBytes: values.tempLimit,
  };
  for (const [name, value] of Object.entries(limits)) {
    if (value !== undefined) patch[name] = limitOf(value);
  }
  if (Object.keys(patch).length === 0) {
    throw new DormouseError('usage_invalid', {
      message: 'There is nothing to change: give at least one of the flags that `dormouse help db set` lists.',
    });
  }
  return patch;
}

/** A time of rest for the API: JSON has no Infinity, and null restores the platform's default. */
function timeOf(value: number | 'default'): number | 'never' | null {
  if (value === 'default') return null;
  return value === Number.POSITIVE_INFINITY ? 'never' : value;
}

function limitOf(value: number | 'default'): number | 'none' | null {
  if (value === 'default') return null;
  return value === Number.POSITIVE_INFINITY ? 'none' : value;
}

function either(name: string, yes: boolean, no: boolean): boolean | undefined {
  if (yes && no)
    throw new DormouseError('usage_invalid', { message: `--${name} and --no-${name} exclude each other.` });
  return yes ? true : no ? false : undefined;
}

export const dbSet: Command = defineCommand({
  name: 'db set',
  summary: 'Change the times of rest and the limits of a database',
  arguments: ['NAME'],
  flags: { ...DATABASE_REST_FLAGS, ...DATABASE_LIMIT_FLAGS, ...CONNECTION_FLAGS, json: JSON_FLAG },
  examples: [
    'dormouse db set main --suspend-after 30s --stop-after never',
    'dormouse db set main --always-on',
    'dormouse db set main --memory-limit 512MiB --cpu-limit 1.5',
    'dormouse db set main --no-always-on --suspend-after default --stop-after default',
  ],
  async run({ values, given, arguments: [name = ''], context, signal }) {
    const patch = patchOf(values);
    const platform = await findPlatform(values, given, context, signal);
    const reply = await platform.request('PATCH', databasePath(name), patch);
    const database = readDatabaseDetail(reply);
    if (values.json) printJson(context.stdout, reply);
    else {
      const pairs = [...restPairs(database.rest), ...limitPairs(database.limits)];
      context.stdout.write(`${database.name} is ${database.state}.\n${formatPairs(pairs)}`);
    }
    return 0;
  },
});
