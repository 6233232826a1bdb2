import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline/promises';
import { setTimeout } from 'node:timers/promises';
import { DormouseError, diskFailure } from '../../base/index.ts';
import type { ProcessContext, Sink, StopSignal } from './process-context.ts';

const SIGNALS: readonly StopSignal[] = ['SIGINT', 'SIGTERM'];

/** Writes to a stream of the process. A reader that has gone is no error (`dormouse help | head -1`). */
function sink(stream: NodeJS.WriteStream): Sink {
  let failure: NodeJS.ErrnoException | undefined;
  stream.on('error', (error: NodeJS.ErrnoException) => {
    failure ??= error;
  });
  return {
    isTTY: stream.isTTY === true,
    write(text) {
      if (failure === undefined) stream.write(text);
    },
    async flush() {
      if (failure === undefined) await new Promise<void>((resolve) => stream.write('', () => resolve()));
      if (failure === undefined || failure.code === 'EPIPE') return;
      throw new DormouseError(diskFailure(failure.code) ?? 'data_unusable', {
        message: `The output could not be written (${failure.code}).`,
        cause: failure,
      });
    },
  };
}

/** The context of this Node process. */
export function nodeProcessContext(version: string): ProcessContext {
  return {
    environment: process.env,
    workingDirectory: process.cwd(),
    userId: process.geteuid?.(),
    version,
    stdout: sink(process.stdout),
    stderr: sink(process.stderr),
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
    async ask(question, signal) {
      // Asked on stderr, because stdout carries data and may be a pipe.
      const lines = createInterface({ input: process.stdin, output: process.stderr });
      // Without this listener readline would take Ctrl-C itself, and the command would not get the signal.
      lines.on('SIGINT', () => process.kill(process.pid, 'SIGINT'));
      const ended = new Promise<undefined>((resolve) => lines.once('close', () => resolve(undefined)));
      try {
        return await Promise.race([lines.question(question, { signal }), ended]);
      } catch (error) {
        if (signal.aborted) return undefined;
        throw error;
      } finally {
        lines.close();
      }
    },
    async readFile(path) {
      try {
        return await readFile(path, 'utf8');
      } catch (error) {
        if (['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
        throw error;
      }
    },
    fetch: (...input) => fetch(...input),
    sleep: (ms, signal) => setTimeout(ms, undefined, { signal }),
    monotonic: () => performance.now(),
    now: () => Date.now(),
    onStopSignal(listener) {
      const handlers = SIGNALS.map((signal) => [signal, () => listener(signal)] as const);
      for (const [signal, handler] of handlers) process.on(signal, handler);
      return () => {
        for (const [signal, handler] of handlers) process.off(signal, handler);
      };
    },
    exitNow: (code) => process.exit(code),
  };
}
