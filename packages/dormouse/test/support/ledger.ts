/** The outcome of one write, as its writer saw it. */
export interface Write {
  /** Unique; the text of its row, or of each of its rows with `/0`, `/1` … behind. */
  readonly id: string;
  readonly writer: string;
  /** Rows it inserts, in one transaction. */
  readonly rows: number;
  /** Whether the transaction also adds one to the writer's counter. */
  readonly counts: boolean;
  readonly issuedMs: number;
  /** Undefined while it runs, and for ever if it failed: then it may have taken place or not. */
  ackedMs: number | undefined;
}

/** One event as both kinds of reader give it. */
export interface SeenEvent {
  readonly operation: string;
  readonly offset: string;
  readonly txid: string;
  /** The column `text`: a write's id, or a counter's name. */
  readonly text: string;
  /** The column `int`. */
  readonly int: number | null;
}

/** Texts of a write's rows. */
export function rowTexts(write: Write): string[] {
  return write.rows === 1 ? [write.id] : Array.from({ length: write.rows }, (_, i) => `${write.id}/${i}`);
}

export const counterText = (writer: string): string => `counter:${writer}`;

/**
 * Every attempted write, and what must be true of all writes at the end. Each check gives a list of violations as
 * texts; an empty list means success.
 */
export class Ledger {
  readonly writes: Write[] = [];
  /** How writes ended, by door and code. */
  readonly outcomes: Map<string, number> = new Map();
  /** Replies that no fault explains. */
  readonly unclear: string[] = [];
  readonly #next = new Map<string, number>();
  readonly #acked = new Map<string, number>();

  begin(writer: string, rows: number, counts: boolean): Write {
    const sequence = (this.#next.get(writer) ?? 0) + 1;
    this.#next.set(writer, sequence);
    const write: Write = {
      id: `${writer}:${sequence}`,
      writer,
      rows,
      counts,
      issuedMs: performance.now(),
      ackedMs: undefined,
    };
    this.writes.push(write);
    return write;
  }

  acknowledge(write: Write): void {
    write.ackedMs = performance.now();
    this.#acked.set(write.writer, (this.#acked.get(write.writer) ?? 0) + 1);
    this.note(write.writer, 'acknowledged');
  }

  note(writer: string, outcome: string): void {
    const key = `${writer}: ${outcome}`;
    this.outcomes.set(key, (this.outcomes.get(key) ?? 0) + 1);
  }

  acknowledged(writer: string): number {
    return this.#acked.get(writer) ?? 0;
  }

  /** Rows as the database holds them, by text; counters by writer. */
  checkRows(rows: readonly string[], counters: ReadonlyMap<string, number>): string[] {
    const wrong: string[] = [];
    const count = new Map<string, number>();
    for (const text of rows) count.set(text, (count.get(text) ?? 0) + 1);
    for (const [text, times] of count) if (times > 1) wrong.push(`${text} is there ${times} times`);
    const known = new Set<string>();
    const counted = new Map<string, number>();
    for (const write of this.writes) {
      const texts = rowTexts(write);
      const there = texts.filter((text) => count.has(text)).length;
      for (const text of texts) known.add(text);
      if (there !== 0 && there !== texts.length)
        wrong.push(`${write.id} is there in part: ${there} of ${texts.length}`);
      if (write.ackedMs !== undefined && there === 0) wrong.push(`${write.id} was acknowledged and is lost`);
      if (write.counts && there > 0) counted.set(write.writer, (counted.get(write.writer) ?? 0) + 1);
    }
    for (const text of count.keys()) if (!known.has(text)) wrong.push(`${text} is there and was never written`);
    for (const [writer, value] of counters) {
      const expected = counted.get(writer) ?? 0;
      if (value !== expected) wrong.push(`the counter of ${writer} says ${value}; its transactions are ${expected}`);
    }
    return wrong;
  }

  /** The whole log beside the rows. */
  checkLog(events: readonly SeenEvent[], rows: readonly string[]): string[] {
    const wrong: string[] = [];
    const place = new Map<string, number>();
    let last = '';
    const counters = new Map<string, number>();
    for (const [index, event] of events.entries()) {
      if (event.offset <= last) wrong.push(`offset ${event.offset} after ${last}`);
      last = event.offset;
      if (event.text.startsWith('counter:')) {
        // Inserted as 0, then one more each time: a gap or a repeat shows at once.
        const expected = event.operation === 'insert' ? 0 : (counters.get(event.text) ?? Number.NaN) + 1;
        if (event.int !== expected)
          wrong.push(`${event.text}: ${event.operation} to ${event.int} where ${expected} was due`);
        counters.set(event.text, event.int ?? Number.NaN);
      } else if (event.operation !== 'insert') {
        wrong.push(`${event.operation} of ${event.text}, which nobody did`);
      } else if (place.has(event.text)) {
        wrong.push(`${event.text} is twice in the log`);
      } else {
        place.set(event.text, index);
      }
    }
    for (const text of rows) if (!place.has(text)) wrong.push(`${text} has a row and no event`);
    const held = new Set(rows);
    for (const text of place.keys()) if (!held.has(text)) wrong.push(`${text} has an event and no row`);
    wrong.push(...this.#checkTransactions(events, place), ...this.#checkOrder(events));
    return wrong;
  }

  /** Events of one transaction stand side by side, in the order of its statements. */
  #checkTransactions(events: readonly SeenEvent[], place: ReadonlyMap<string, number>): string[] {
    const wrong: string[] = [];
    for (const write of this.writes) {
      const texts = rowTexts(write);
      const first = place.get(texts[0] as string);
      if (first === undefined) continue;
      const expected = write.counts ? [...texts, counterText(write.writer)] : texts;
      const found = events.slice(first, first + expected.length);
      if (found.some((event, i) => event.text !== expected[i] || event.txid !== found[0]?.txid)) {
        wrong.push(`${write.id}: its events are ${found.map((event) => `${event.text}@${event.txid}`).join(', ')}`);
      }
    }
    return wrong;
  }

  /** What was acknowledged before another write was begun comes before it in the log. */
  #checkOrder(events: readonly SeenEvent[]): string[] {
    const byText = new Map<string, Write>();
    for (const write of this.writes) for (const text of rowTexts(write)) byText.set(text, write);
    const wrong: string[] = [];
    let earliest: Write | undefined;
    for (let i = events.length - 1; i >= 0; i--) {
      const write = byText.get(events[i]?.text ?? '');
      if (write === undefined) continue;
      if (earliest?.ackedMs !== undefined && earliest.ackedMs < write.issuedMs) {
        wrong.push(`${earliest.id} was acknowledged before ${write.id} was begun, and comes after it`);
      }
      if (write.ackedMs !== undefined && (earliest?.ackedMs === undefined || write.ackedMs < earliest.ackedMs)) {
        earliest = write;
      }
    }
    return wrong;
  }
}
