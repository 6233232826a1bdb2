import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** A peer in a process of its own, so that its CPU time is its own. */
export interface PeerProcess {
  readonly pid: number;
  /** What it said when it was ready. */
  readonly ready: Record<string, unknown>;
  /** Sends an order and gives the answer. */
  ask(order: Record<string, unknown>): Promise<Record<string, number>>;
  stop(): Promise<void>;
}

/** Starts `bench/peers/NAME.ts` with arguments; it sends `{ready: …}` first, then one answer per order. */
export async function startPeer(name: string, args: readonly string[]): Promise<PeerProcess> {
  const child = fork(fileURLToPath(new URL(`./peers/${name}.ts`, import.meta.url)), args, {
    execArgv: ['--import', new URL('../test/support/run-typescript.mjs', import.meta.url).href],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  const message = (): Promise<Record<string, unknown>> =>
    new Promise((resolve, reject) => {
      const onExit = (code: number | null): void => reject(new Error(`the peer ${name} ended with ${code}`));
      child.once('exit', onExit);
      child.once('message', (value) => {
        child.off('exit', onExit);
        resolve(value as Record<string, unknown>);
      });
    });
  const ready = await message();
  return {
    pid: child.pid as number,
    ready,
    async ask(order) {
      const answer = message();
      child.send(order);
      return (await answer) as Record<string, number>;
    },
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGTERM');
      await ended;
    },
  };
}

/** The peer's side: announces itself and answers orders one at a time. */
export function serveOrders(
  ready: Record<string, unknown>,
  answer: (order: Record<string, unknown>) => Promise<Record<string, number>>,
): void {
  process.on('message', (order) => {
    answer(order as Record<string, unknown>).then(
      (reply) => process.send?.(reply),
      (error: unknown) => {
        console.error(error);
        process.exit(1);
      },
    );
  });
  process.on('SIGTERM', () => process.exit(0));
  process.on('disconnect', () => process.exit(0));
  process.send?.({ ready: true, ...ready });
}
