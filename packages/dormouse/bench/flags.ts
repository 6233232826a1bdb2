/** Numbers after `--NAME` on the command line of a benchmark: how much of it to run. */
export type BenchFlags = (name: string, otherwise: number) => number;

/** Cuts a command line into names of benchmarks and flags. Throws for what is neither. */
export function readFlags(line: readonly string[]): { readonly names: string[]; readonly flags: BenchFlags } {
  const names: string[] = [];
  const given = new Map<string, number>();
  for (let at = 0; at < line.length; at += 1) {
    const word = line[at] as string;
    if (word === '--') continue;
    if (!word.startsWith('--')) {
      names.push(word);
      continue;
    }
    at += 1;
    const value = Number(line[at]);
    if (line[at] === undefined || !Number.isFinite(value) || value <= 0)
      throw new Error(`${word} takes a number over 0`);
    given.set(word.slice(2), value);
  }
  return { names, flags: (name, otherwise) => given.get(name) ?? otherwise };
}
