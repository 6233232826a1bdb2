import type { LogLevel } from '../../base/index.ts';

/** An output stream of the CLI. */
export interface Sink {
  write(text: string): void;
  readonly isTTY: boolean;
  /**
   * Resolves when all text is written, or when the reader has gone. Throws `DormouseError` when text could not be
   * written.
   */
  flush(): Promise<void>;
}

/** Signals that a person or a supervisor sends to end a command. */
export type StopSignal = 'SIGINT' | 'SIGTERM';

/** The process around a command: everything that a command uses of the machine. */
export interface ProcessContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  /** Effective user id; undefined on systems without user ids. */
  readonly userId: number | undefined;
  readonly version: string;
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** Whether a person can answer questions. */
  readonly interactive: boolean;
  /** Prints a question and gives the typed line; undefined when the input ended or `signal` fired. */
  ask(question: string, signal: AbortSignal): Promise<string | undefined>;
  /** Gives the text of a file, or undefined when the file is missing. Throws every other error of the system. */
  readFile(path: string): Promise<string | undefined>;
  readonly fetch: typeof fetch;
  /** Rejects once `signal` fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Milliseconds, monotonic. */
  monotonic(): number;
  /** Milliseconds since 1970 UTC. */
  now(): number;
  /** Calls `listener` on each stop signal, which then does not end the process; the result removes the listener. */
  onStopSignal(listener: (signal: StopSignal) => void): () => void;
  /** Ends the process at once, without cleaning up. */
  exitNow(code: number): never;
}

/** All levels in the order of severity, the least severe first. */
export const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];
