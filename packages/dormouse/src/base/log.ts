/** Severity of a log line. */
export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

/** Structured log; fields are flat and never hold secrets or query values. */
export interface Logger {
  log(level: LogLevel, message: string, fields?: Readonly<Record<string, unknown>>): void;
}

/** Drops everything: for tests and for parts that are given no log. */
export const silentLogger: Logger = { log() {} };
