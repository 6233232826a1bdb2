import { parseArgs } from 'node:util';
import { DormouseError } from '../../base/index.ts';
import { type Flag, type FlagTable, flagName, type ValuesOf } from './flag.ts';
import { nearest } from './nearest.ts';

/** The result of parsing a command line. */
export interface Parsed<Table extends FlagTable> {
  readonly values: ValuesOf<Table>;
  readonly positionals: readonly string[];
  /** Keys of the flags on the command line; flags with defaults or values from the environment are not among them. */
  readonly given: ReadonlySet<string>;
}

function refuse(message: string): never {
  throw new DormouseError('usage_invalid', { message });
}

/**
 * Parses the words after a command by its flags and the environment. Throws `usage_invalid`, which names the flag and,
 * for an unknown flag, the nearest known one.
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
  // `strict` is off because its messages name neither the nearest flag nor the help. The loop below is as strict.
  const { tokens } = parseArgs({ args: [...words], options, strict: false, allowPositionals: true, tokens: true });
  for (const token of tokens) {
    if (token.kind === 'positional') positionals.push(token.value);
    if (token.kind !== 'option') continue;
    const known = byName.get(token.name);
    if (!known) refuse(unknownFlag(token.rawName, [...byName.keys()], command));
    const [key, flag] = known;
    if (!flag.placeholder && token.value !== undefined) refuse(`--${token.name} takes no value.`);
    // A word with a dash after the flag is another flag, so the value was forgotten; `--flag=-x` gives such a value.
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
