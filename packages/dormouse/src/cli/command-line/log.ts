import type { Logger, LogLevel } from '../../base/index.ts';
import { LEVELS, type Sink } from './process-context.ts';

/** Most characters of one field in a log line, because people read the lines. */
const VALUE_LENGTH_MAX = 4000;

function shown(value: unknown): string {
  const text =
    value instanceof Error ? (value.stack ?? value.message) : typeof value === 'string' ? value : JSON.stringify(value);
  const cut = (text ?? String(value)).slice(0, VALUE_LENGTH_MAX);
  return /^[\w.:/@+-]+$/.test(cut) ? cut : JSON.stringify(cut);
}

/** Writes log lines of the level `least` or above as text: `2026-11-23T14:00:00.000Z warn  message field=value`. */
export function textLogger(sink: Sink, least: LogLevel, now: () => number): Logger {
  const from = LEVELS.indexOf(least);
  return {
    log(level, message, fields) {
      if (LEVELS.indexOf(level) < from) return;
      let line = `${new Date(now()).toISOString()} ${level.padEnd(5)} ${message}`;
      for (const [name, value] of Object.entries(fields ?? {})) {
        if (value !== undefined) line += ` ${name}=${shown(value)}`;
      }
      sink.write(`${line}\n`);
    },
  };
}
