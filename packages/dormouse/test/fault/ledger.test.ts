import { describe, expect, it } from 'vitest';
import { counterText, Ledger, type SeenEvent } from '../support/ledger.ts';
import { checkSubscriber } from '../support/stream-reader.ts';

// The fault tests rely on their ledger. These tests prove that the ledger detects each kind of error.

/**
 * Writer a writes one row, then two rows in a counting transaction; writer b writes one row that was never
 * acknowledged.
 */
function written(): { ledger: Ledger; rows: string[]; counters: Map<string, number>; events: SeenEvent[] } {
  const ledger = new Ledger();
  ledger.acknowledge(ledger.begin('a', 1, false));
  ledger.acknowledge(ledger.begin('a', 2, true));
  ledger.begin('b', 1, false);
  const texts = [counterText('a'), 'a:1', 'a:2/0', 'a:2/1', counterText('a')];
  const events = texts.map((text, i) => ({
    operation: i === 4 ? 'update' : 'insert',
    offset: `000${i}`,
    txid: i > 2 ? '2' : String(i),
    text,
    int: i === 0 ? 0 : i === 4 ? 1 : null,
  }));
  return { ledger, rows: ['a:1', 'a:2/0', 'a:2/1'], counters: new Map([['a', 1]]), events };
}

describe('rows', () => {
  it('rows pass the check with and without the writes that were never acknowledged', () => {
    const { ledger, rows, counters } = written();
    expect(ledger.checkRows(rows, counters)).toEqual([]);
    expect(ledger.checkRows([...rows, 'b:1'], counters)).toEqual([]);
  });

  it.each<[string, (rows: string[], counters: Map<string, number>) => void, RegExp]>([
    ['a row that is lost', (rows) => rows.splice(0, 1), /a:1 was acknowledged and is lost/],
    ['a row that is there twice', (rows) => rows.push('b:1', 'b:1'), /b:1 is there 2 times/],
    ['half a transaction', (rows) => rows.splice(1, 1), /a:2 is there in part/],
    ['a row that was never written', (rows) => rows.push('c:1'), /c:1 is there and was never written/],
    ['a transaction that was done twice', (_, counters) => counters.set('a', 2), /the counter of a says 2/],
  ])('rows fail the check with %s', (_, change, expected) => {
    const { ledger, rows, counters } = written();
    change(rows, counters);
    expect(ledger.checkRows(rows, counters).join('\n')).toMatch(expected);
  });
});

describe('the log', () => {
  it('the log passes the check as it was written', () => {
    const { ledger, rows, events } = written();
    expect(ledger.checkLog(events, rows)).toEqual([]);
  });

  it.each<[string, (events: SeenEvent[], rows: string[]) => void, RegExp]>([
    ['an event that is lost', (events) => events.splice(1, 1), /a:1 has a row and no event/],
    [
      'an event that is there twice',
      (events) => events.push({ ...(events[1] as SeenEvent), offset: '0009' }),
      /a:1 is twice in the log/,
    ],
    ['an event without a row', (_, rows) => rows.splice(0, 1), /a:1 has an event and no row/],
    ['offsets that go back', (events) => events.reverse(), /offset 0003 after 0004/],
    [
      'a step of a counter that is lost',
      (events) => Object.assign(events[4] as SeenEvent, { int: 2 }),
      /to 2 where 1 was due/,
    ],
    [
      'a transaction torn apart',
      (events) => Object.assign(events[3] as SeenEvent, { txid: '7' }),
      /a:2: its events are/,
    ],
    [
      'an order that was not that of the writes',
      (events) => {
        const first = events.splice(1, 1) as SeenEvent[];
        events.push(...first);
      },
      /a:1 was acknowledged before a:2 was begun/,
    ],
  ])('the log fails the check with %s', (_, change, expected) => {
    const { ledger, rows, events } = written();
    // Clocks have a limited resolution, so the times are set: the first write is acknowledged strictly before the
    // second begins.
    const [first, second] = ledger.writes;
    Object.assign(first as object, { issuedMs: 1, ackedMs: 2 });
    Object.assign(second as object, { issuedMs: 3, ackedMs: 4 });
    change(events, rows);
    expect(ledger.checkLog(events, rows).join('\n')).toMatch(expected);
  });
});

describe('a subscriber', () => {
  it('a subscriber passes the check when events before its place are delivered again', () => {
    const { events } = written();
    expect(checkSubscriber([...events.slice(0, 3), ...events.slice(1)], events)).toEqual([]);
  });

  it('a subscriber fails the check with a missing event, an early end, or an event that is not in the log', () => {
    const { events } = written();
    expect(checkSubscriber([...events.slice(0, 2), ...events.slice(3)], events).join()).toMatch(/1 events are missing/);
    expect(checkSubscriber(events.slice(0, 3), events).join()).toMatch(/the last 2 events did not arrive/);
    expect(checkSubscriber([...events, { ...(events[0] as SeenEvent), offset: 'x' }], events).join()).toMatch(
      /not in the log/,
    );
  });
});
