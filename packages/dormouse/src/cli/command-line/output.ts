import type { Sink } from './process-context.ts';

/** Replaces control characters by `?`, because in data they could move the cursor or colour the terminal. */
function plain(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the characters to take out.
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, '?');
}

/** Prints one JSON document on one line. */
export function printJson(sink: Sink, value: unknown): void {
  sink.write(`${JSON.stringify(value)}\n`);
}

/** Aligns columns by spaces. The first row is the heading, and no spaces follow the last column. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const cells = rows.map((row) => row.map(plain));
  const widths: number[] = [];
  for (const row of cells) {
    for (const [column, cell] of row.entries()) widths[column] = Math.max(widths[column] ?? 0, cell.length);
  }
  const line = (row: readonly string[]) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('   ')
      .trimEnd();
  return cells.map((row) => `${line(row)}\n`).join('');
}

/** Aligns pairs of label and value, each line indented by `indent` spaces. */
export function formatPairs(pairs: readonly (readonly [string, string])[], indent = 2): string {
  return formatTable(pairs)
    .split('\n')
    .map((line) => (line === '' ? '' : ' '.repeat(indent) + line))
    .join('\n');
}

/** An age in one unit: `12 s`, `3 min`, `5 h`, `2 d`. */
export function formatAge(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** A size in at most three digits: `512 KiB`, `7.8 MiB`, `16 GiB`. */
export function formatSize(bytes: number): string {
  let size = bytes / 1024;
  let unit = 'KiB';
  for (const next of ['MiB', 'GiB', 'TiB']) {
    if (size < 1000) break;
    size /= 1024;
    unit = next;
  }
  return `${size < 10 && size > 0 ? size.toFixed(1) : Math.round(size)} ${unit}`;
}

/** Makes text bold on a terminal that shows it, unless NO_COLOR is set. */
export function bold(sink: Sink, environment: Readonly<Record<string, string | undefined>>, text: string): string {
  return sink.isTTY && !environment.NO_COLOR && environment.TERM !== 'dumb' ? `\u001b[1m${text}\u001b[22m` : text;
}
