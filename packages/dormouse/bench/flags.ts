/** What follows `--NAME` on the command line of a benchmark: how much of it to run. */
export interface BenchFlags {
  /** A number above zero. */
  (name: string, otherwise: number): number;
  /** Words separated by commas. */
  list(name: string): readonly string[] | undefined;
  /** Numbers separated by commas. */
  numbers(name: string, otherwise: readonly number[]): readonly number[];
}

/** The command line is not valid; the message says why. */
export class UsageError extends Error {}

/** Cuts a command line into names of benchmarks and flags. Throws `UsageError` for what is neither. */
export function readFlags(line: readonly string[]): {
  readonly names: readonly string[];
  /** Names of the flags that are there. */
  readonly given: readonly string[];
  readonly flags: BenchFlags;
} {
  const names: string[] = [];
  const given = new Map<string, string>();
  for (let at = 0; at < line.length; at += 1) {
    const word = line[at] as string;
    if (word === '--') continue;
    if (!word.startsWith('--')) {
      names.push(word);
      continue;
    }
    at += 1;
    const value = line[at];
    if (value === undefined) throw new UsageError(`${word} takes a value.`);
    given.set(word.slice(2), value);
  }
  const number = (name: string, text: string): number => {
    const value = Number(text);
    if (!Number.isFinite(value) || value <= 0) throw new UsageError(`--${name} takes a number over 0, not "${text}".`);
    return value;
  };
  const list: BenchFlags['list'] = (name) => given.get(name)?.split(',');
  const one = (name: string, otherwise: number): number => {
    const text = given.get(name);
    return text === undefined ? otherwise : number(name, text);
  };
  return {
    names,
    given: [...given.keys()],
    flags: Object.assign(one, {
      list,
      numbers: (name: string, otherwise: readonly number[]) =>
        list(name)?.map((text) => number(name, text)) ?? otherwise,
    }),
  };
}
