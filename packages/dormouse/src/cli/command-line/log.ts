import type { Logger, LogLevel } from '../../base/index.ts';
import { LEVELS, type Sink } from './process-context.ts';

/** Longest value a log line shows of one field; a line is for reading. */
const VALUE_LENGTH_MAX = 4000;

function shown(value: unknown): string {
  const text =
    value instanceof Error ? (value.stack ?? value.message) : typeof value === 'string' ? value : JSON.stringify(value);
  const cut = (text ?? String(value)).slice(0, VALUE_LENGTH_MAX);
  return /^[\w.:/@+-]+$/.test(cut) ? cut : JSON.stringify(cut);
}

/** Log lines as text: `2026-11-23T14:00:00.000Z warn  message field=value`, at or above `least`. */
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
