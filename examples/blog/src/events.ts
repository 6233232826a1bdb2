import type { Client } from './client.ts';

/** The name under which Dormouse keeps how far this app has read: the next run goes on where this one stopped. */
const NAME = 'blog';
const PATIENCE_MS = 20_000;

/** Follows the events of posts from now on, in the background. */
export async function watchPosts(prisma: Client) {
  const stream = await prisma.post.stream({ name: NAME });
  const seen: { id: number | undefined; action: string; line: string }[] = [];
  let wake: () => void = () => {};
  const reading = (async () => {
    for await (const event of stream) {
      const row = event.action === 'create' ? event.created : event.action === 'update' ? event.after : event.deleted;
      seen.push({
        id: row.id,
        action: event.action,
        line: `${event.id}  ${event.action.padEnd(6)}  ${JSON.stringify(row)}`,
      });
      wake();
    }
  })();
  return {
    /** Waits until the post `id` has been through all of `actions`; gives the lines of its events. */
    async until(id: number, actions: readonly string[]): Promise<readonly string[]> {
      const late = setTimeout(() => wake(), PATIENCE_MS);
      const began = performance.now();
      for (;;) {
        const mine = seen.filter((event) => event.id === id);
        if (actions.every((action) => mine.some((event) => event.action === action))) {
          clearTimeout(late);
          return mine.map(({ line }) => line);
        }
        if (performance.now() - began >= PATIENCE_MS) {
          throw new Error(`of the events ${actions.join(', ')} only these came: ${mine.map(({ action }) => action)}`);
        }
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    async stop(): Promise<void> {
      stream.stop();
      await reading;
    },
  };
}
