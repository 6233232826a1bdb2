/** What follows `--NAME` on the command line of a benchmark: how much of it to run. */
export interface BenchFlags {
  /** A number above zero. */
  (name: string, otherwise: number): number;
  /** Words between commas. */
  list(name: string): readonly string[] | undefined;
  /** Numbers between commas. */
  numbers(name: string, otherwise: readonly number[]): readonly number[];
}

/** Cuts a command line into names of benchmarks and flags. Throws for what is neither. */
export function readFlags(line: readonly string[]): { readonly names: string[]; readonly flags: BenchFlags } {
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
    if (value === undefined) throw new Error(`${word} takes a value`);
    given.set(word.slice(2), value);
  }
  const number = (name: string, text: string): number => {
    const value = Number(text);
    if (!Number.isFinite(value) || value <= 0) throw new Error(`--${name} takes a number over 0`);
    return value;
  };
  const list: BenchFlags['list'] = (name) => given.get(name)?.split(',');
  const one = (name: string, otherwise: number): number => {
    const text = given.get(name);
    return text === undefined ? otherwise : number(name, text);
  };
  return {
    names,
    flags: Object.assign(one, {
      list,
      numbers: (name: string, otherwise: readonly number[]) =>
        list(name)?.map((text) => number(name, text)) ?? otherwise,
    }),
  };
}
