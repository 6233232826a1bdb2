import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readServerSentEvents } from './server-sent-events.ts';

function bodyOf(chunks: readonly Uint8Array[], end: 'close' | 'error' = 'close'): ReadableStream<Uint8Array> {
  const rest = [...chunks];
  return new ReadableStream({
    pull(controller) {
      const chunk = rest.shift();
      if (chunk !== undefined) controller.enqueue(chunk);
      else if (end === 'close') controller.close();
      else controller.error(new Error('cut'));
    },
  });
}
async function eventsOf(body: ReadableStream<Uint8Array>): Promise<unknown[]> {
  const out: unknown[] = [];
  for await (const event of readServerSentEvents(body, () => {})) out.push(event);
  return out;
}

const TEXT =
  ':\n\nevent: data\ndata:[1,"é€😀"]\n\nevent: control\r\ndata: {"a":1}\r\n\r\ndata:x\ndata:y\n\nevent: data\ndata:cut';

test('events are the same wherever the bytes are cut into chunks', async () => {
  const bytes = new TextEncoder().encode(TEXT);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 10 }), async (cuts) => {
      const ends = [...new Set([...cuts, bytes.length])].sort((a, b) => a - b);
      const chunks = ends.map((end, i) => bytes.subarray(ends[i - 1] ?? 0, end));
      expect(await eventsOf(bodyOf(chunks))).toEqual([
        { event: 'data', data: '[1,"é€😀"]' },
        { event: 'control', data: '{"a":1}' },
        { event: 'message', data: 'x\ny' },
      ]);
    }),
  );
});

test('a broken connection ends the events', async () => {
  const bytes = new TextEncoder().encode('data:1\n\n');
  expect(await eventsOf(bodyOf([bytes], 'error'))).toEqual([{ event: 'message', data: '1' }]);
});
