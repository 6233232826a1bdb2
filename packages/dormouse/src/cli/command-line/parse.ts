import { parseArgs } from 'node:util';
import { DormouseError } from '../../base/index.ts';
import { type Flag, type FlagTable, flagName, type ValuesOf } from './flag.ts';
import { nearest } from './nearest.ts';

/** What a command line gave. */
export interface Parsed<Table extends FlagTable> {
  readonly values: ValuesOf<Table>;
  readonly positionals: readonly string[];
  /** Keys of the flags that were written out, as against defaulted or taken from the environment. */
  readonly given: ReadonlySet<string>;
}

function refuse(message: string): never {
  throw new DormouseError('usage_invalid', { message });
}

/**
 * Reads the words after a command against its flags and the environment.
 * Throws `usage_invalid` naming the flag and, for one that is not known, the nearest that is.
 */
export function parseFlags<Table extends FlagTable>(
  words: readonly string[],
  table: Table,
  environment: Readonly<Record<string, string | undefined>>,
  command: string,
): Parsed<Table> {
  const byName = new Map<string, readonly [string, Flag<unknown>]>();
  const options: Record<string, { type: 'string' | 'boolean'; short?: string }> = {};
  for (const [key, flag] of Object.entries(table)) {
    const name = flagName(key);
    byName.set(name, [key, flag]);
    options[name] = { type: flag.placeholder ? 'string' : 'boolean', ...(flag.short ? { short: flag.short } : {}) };
  }

  const values: Record<string, unknown> = {};
  const positionals: string[] = [];
  const given = new Set<string>();
  // strict is off because its messages say neither the nearest flag nor where help is; the loop is as strict.
  const { tokens } = parseArgs({ args: [...words], options, strict: false, allowPositionals: true, tokens: true });
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const known = byName.get(token.name);
    if (!known) refuse(unknownFlag(token.rawName, [...byName.keys()], command));
    const [key, flag] = known;
    if (!flag.placeholder && token.value !== undefined) refuse(`--${token.name} takes no value.`);
    // The word after is another flag, so the value was forgotten; --flag=-x says a value that begins with a dash.
    const forgotten = token.value === undefined || (!token.inlineValue && token.value.startsWith('-'));
    if (flag.placeholder && forgotten) refuse(`--${token.name} needs a value: --${token.name} ${flag.placeholder}.`);
    const value = read(`--${token.name}`, flag, token.value ?? '');
    const before = flag.repeatable ? (values[key] as readonly unknown[] | undefined) : undefined;
    values[key] = before === undefined ? value : [...before, ...(value as readonly unknown[])];
    given.add(key);
  }

  for (const [key, flag] of Object.entries(table)) {
    if (given.has(key)) continue;
    const fromEnvironment = flag.environment === undefined ? undefined : environment[flag.environment];
    values[key] = fromEnvironment ? read(flag.environment as string, flag, fromEnvironment) : flag.fallback;
  }
  return { values: values as ValuesOf<Table>, positionals, given };
}

function read(name: string, flag: Flag<unknown>, value: string): unknown {
  try {
    return flag.parse(value);
  } catch (error) {
    if (error instanceof DormouseError) refuse(`${name}: ${error.message}`);
    throw error;
  }
}

function unknownFlag(rawName: string, names: readonly string[], command: string): string {
  const near = rawName.startsWith('--') ? nearest(rawName.slice(2), names) : undefined;
  const hint = near ? ` Did you mean --${near}?` : '';
  return `${rawName} is not a flag of \`dormouse ${command}\`.${hint} \`dormouse help ${command}\` lists them.`;
}
