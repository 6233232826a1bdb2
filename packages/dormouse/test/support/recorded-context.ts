import type { ProcessContext, Sink, StopSignal } from '../../src/cli/command-line/process-context.ts';

/** A context for the CLI that keeps what was printed and lets the test press keys. */
export interface RecordedWorld extends ProcessContext {
  readonly out: () => string;
  readonly err: () => string;
  /** Sends a stop signal; false if no listener is registered. */
  readonly press: (signal: StopSignal) => boolean;
  /** Moves its monotonic clock on. */
  readonly pass: (ms: number) => void;
}

/** Thrown instead of ending the process. */
export class Exited extends Error {
  readonly code: number;
  constructor(code: number) {
    super(`exit ${code}`);
    this.code = code;
  }
}

export function recordedContext(
  options: {
    readonly environment?: Readonly<Record<string, string>>;
    readonly files?: Readonly<Record<string, string | Error>>;
    readonly answers?: readonly string[];
    readonly userId?: number;
    readonly tty?: boolean;
  } = {},
): RecordedWorld {
  const printed = { out: '', err: '' };
  const sink = (name: 'out' | 'err'): Sink => ({
    isTTY: options.tty === true,
    write: (text) => {
      printed[name] += text;
    },
    flush: async () => {},
  });
  let monotonicMs = 0;
  const listeners = new Set<(signal: StopSignal) => void>();
  const answers = [...(options.answers ?? [])];
  return {
    environment: options.environment ?? {},
    workingDirectory: '/home/ada',
    userId: options.userId ?? 1000,
    version: '9.9.9',
    stdout: sink('out'),
    stderr: sink('err'),
    interactive: options.answers !== undefined,
    ask: async (question) => {
      printed.err += question;
      return answers.shift();
    },
    readFile: async (path) => {
      const file = options.files?.[path];
      if (file instanceof Error) throw file;
      return file;
    },
    fetch: (...input) => fetch(...input),
    sleep: async (ms, signal) => {
      signal.throwIfAborted();
      monotonicMs += ms;
    },
    monotonic: () => monotonicMs,
    now: () => Date.UTC(2026, 10, 23),
    onStopSignal: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    exitNow: (code) => {
      throw new Exited(code);
    },
    out: () => printed.out,
    err: () => printed.err,
    press: (signal) => {
      for (const listener of listeners) listener(signal);
      return listeners.size > 0;
    },
    pass: (ms) => {
      monotonicMs += ms;
    },
  };
}
