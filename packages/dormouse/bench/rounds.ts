import { readdirSync, readFileSync } from 'node:fs';

/** Median, smallest and largest of some rounds. */
export interface Figure {
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** Round by round. */
  readonly values: readonly number[];
}

export function figure(values: readonly number[]): Figure {
  const sorted = [...values].sort((a, b) => a - b);
  return {
    median: sorted[Math.floor(sorted.length / 2)] ?? Number.NaN,
    min: sorted[0] ?? Number.NaN,
    max: sorted.at(-1) ?? Number.NaN,
    values,
  };
}

/** One figure in terms of another of the same rounds: a machine that was slow for a round was slow for both. */
export function ratio(of: Figure, to: Figure): Figure {
  return figure(of.values.map((value, round) => value / (to.values[round] ?? Number.NaN)));
}

/** `1.23 (1.10–1.40)`. */
export function show(value: Figure, digits = 2): string {
  return `${value.median.toFixed(digits)} (${value.min.toFixed(digits)}–${value.max.toFixed(digits)})`;
}

/** One contender: its name and a run that gives named numbers. */
export interface Peer {
  readonly name: string;
  run(): Promise<Record<string, number>>;
}

/**
 * Runs the peers in turn, `rounds` times, the order reversed every other round so that a drift of the machine affects
 * all peers alike; a first round is not counted. Gives for each peer and number the figures over the rounds.
 */
export async function compare(peers: readonly Peer[], rounds = 5): Promise<Map<string, (name: string) => Figure>> {
  const seen = new Map<string, Record<string, number[]>>(peers.map((peer) => [peer.name, {}]));
  for (let round = 0; round <= rounds; round += 1) {
    for (const peer of round % 2 === 0 ? peers : [...peers].reverse()) {
      const numbers = await peer.run();
      if (round === 0) continue;
      const lists = seen.get(peer.name) as Record<string, number[]>;
      for (const [name, value] of Object.entries(numbers)) {
        lists[name] ??= [];
        (lists[name] as number[]).push(value);
      }
    }
  }
  const figures = new Map<string, (name: string) => Figure>();
  for (const [peer, lists] of seen) {
    figures.set(peer, (name) => {
      const values = lists[name];
      if (values === undefined) throw new Error(`${peer} measured no ${name}`);
      return figure(values);
    });
  }
  return figures;
}

/** CPU time of one process alone, milliseconds. */
export function ownCpuMs(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1')
    .replace(/^.*\) /s, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/**
 * CPU time of the threads that a process has now, milliseconds, to the nanosecond; a thread that ends takes its time
 * with it. For processes that hardly work: `ownCpuMs` counts by tens.
 */
export function threadsCpuMs(pid: number): number {
  let ns = 0;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    try {
      ns += Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]);
    } catch {
      // The thread ended meanwhile.
    }
  }
  return ns / 1e6;
}

/** A table in Markdown, columns as wide as their widest cell. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = head.map((cell, column) => Math.max(cell.length, ...rows.map((row) => (row[column] ?? '').length)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`;
  return [line(head), `|${widths.map((width) => '-'.repeat(width + 2)).join('|')}|`, ...rows.map(line)].join('\n');
}
