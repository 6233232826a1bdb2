import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

/** A process of its own that captures one database and serves its events. */
export interface EventsOwner {
  readonly http: string;
  readonly socket: string;
  /** Any of suspend, stop, wake, drain. Rejects when the command fails or the owner is killed meanwhile. */
  ask(command: 'suspend' | 'stop' | 'wake' | 'drain'): Promise<unknown>;
  close(): Promise<void>;
  /** kill -9; done once it is gone. */
  kill(): Promise<void>;
}

/** Starts an owner of a data directory; `create` for a new one. */
export async function startEventsOwner(dataDirectory: string, create: boolean): Promise<EventsOwner> {
  const file = fileURLToPath(new URL('./events-owner.mjs', import.meta.url));
  const child = spawn(process.execPath, [file], { stdio: ['pipe', 'pipe', 'inherit'], cwd: '/' });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const gone = (): Error => new Error(`the owner is gone (${child.exitCode ?? child.signalCode})`);
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  void exited.then(() => {
    for (const { reject } of waiting.values()) reject(gone());
    waiting.clear();
  });
  child.stdin.on('error', () => {});
  createInterface({ input: child.stdout }).on('line', (line) => {
    const { sequence, value, error } = JSON.parse(line) as { sequence: number; value?: unknown; error?: string };
    const one = waiting.get(sequence);
    waiting.delete(sequence);
    if (error === undefined) one?.resolve(value);
    else one?.reject(new Error(error));
  });
  let sequence = 0;
  const ask = (command: string, rest: Readonly<Record<string, unknown>> = {}): Promise<unknown> =>
    new Promise((resolve, reject) => {
      if (child.exitCode !== null || child.signalCode !== null) {
        reject(gone());
        return;
      }
      sequence += 1;
      waiting.set(sequence, { resolve, reject });
      child.stdin.write(`${JSON.stringify({ sequence, command, ...rest })}\n`);
    });
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await exited;
  };
  try {
    const { port, socket } = (await ask('open', { dataDirectory, create })) as { port: number; socket: string };
    return {
      http: `http://127.0.0.1:${port}`,
      socket,
      ask: (command) => ask(command),
      async close() {
        await ask('close');
        await exited;
      },
      kill,
    };
  } catch (error) {
    await kill();
    throw error;
  }
}
