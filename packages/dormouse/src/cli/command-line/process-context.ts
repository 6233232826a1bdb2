import type { LogLevel } from '../../base/index.ts';

/** A stream that the CLI prints to. */
export interface Sink {
  write(text: string): void;
  readonly isTTY: boolean;
  /**
   * Resolves when all is written, or when nobody reads any more. Throws `DormouseError` when it could not be written.
   */
  flush(): Promise<void>;
}

/** Signals that a person or a supervisor sends to end a command. */
export type StopSignal = 'SIGINT' | 'SIGTERM';

/** Everything of the machine that a command touches. */
export interface ProcessContext {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly workingDirectory: string;
  /** Effective user id; undefined where there are none. */
  readonly userId: number | undefined;
  readonly version: string;
  readonly stdout: Sink;
  readonly stderr: Sink;
  /** True when a person can be asked. */
  readonly interactive: boolean;
  /** Prints the question and gives the line that was typed; undefined when the input or `signal` ended it. */
  ask(question: string, signal: AbortSignal): Promise<string | undefined>;
  /** Gives a file's text, or undefined if there is none. Throws what the system says otherwise. */
  readFile(path: string): Promise<string | undefined>;
  readonly fetch: typeof fetch;
  /** Rejects once `signal` fires. */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /** Milliseconds, monotonic. */
  monotonic(): number;
  /** Milliseconds since 1970 UTC. */
  now(): number;
  /** Calls `listener` on each stop signal instead of dying of it; the result takes it back. */
  onStopSignal(listener: (signal: StopSignal) => void): () => void;
  /** Ends the process at once, without any cleaning up. */
  exitNow(code: number): never;
}

/** Severity order, least first. */
export const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error'];
