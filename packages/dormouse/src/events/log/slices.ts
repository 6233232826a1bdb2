import {
  type AppendBatch,
  type NewEvent,
  type NewTransaction,
  OMITTED,
  type RelationDefinition,
  type Row,
} from './event-log.ts';
import { elementOf } from './pg-text.ts';

/**
 * Characters of values that one event carries, old row and new; what is larger is left out of it by name. Each is held
 * as text, as JSON and as bytes on its way to a reader, and takes the main loop some 10 ms.
 */
export const EVENT_CHARACTERS_MAX: number = 4 * 1024 * 1024;
/**
 * Characters of one array: it is taken apart and put together again, which takes the main loop ten times as long as a
 * text.
 */
export const ARRAY_CHARACTERS_MAX: number = 512 * 1024;

/** Events of one slice: they take the log's thread some 10 ms, and the main loop less to hand over. */
const SLICE_EVENTS_MAX = 2000;
/** Characters of one slice, beside one event that has more. */
const SLICE_CHARACTERS_MAX = 1024 * 1024;

function charactersOf(row: Row | undefined): number {
  let characters = 0;
  for (const value of row ?? []) if (typeof value === 'string') characters += value.length;
  return characters;
}

/**
 * The event without arrays over their bound, and without its largest values, so that what is left is within the bound.
 */
function withinBound(event: NewEvent, relation: RelationDefinition | undefined, characters: number): NewEvent {
  const before = event.before === undefined ? undefined : [...event.before];
  const after = event.after === undefined ? undefined : [...event.after];
  const places = [before ?? [], after ?? []].flatMap((row) =>
    row.flatMap((value, i) => (typeof value === 'string' ? [{ row, i, size: value.length }] : [])),
  );
  places.sort((a, b) => b.size - a.size);
  let left = characters;
  for (const { row, i, size } of places) {
    const column = relation?.columns[i];
    const array = size > ARRAY_CHARACTERS_MAX && column !== undefined && elementOf(column) !== undefined;
    if (left <= EVENT_CHARACTERS_MAX && !array) continue;
    row[i] = OMITTED;
    left -= size;
  }
  return { ...event, before, after };
}

/**
 * Cuts a batch so that each slice takes the log's thread a short turn. All but the last are incomplete: what they hold
 * is seen when the last is in, or never. Gives at least one.
 */
export function* slicesOf(batch: AppendBatch): Generator<AppendBatch, void, void> {
  let transactions: NewTransaction[] = [];
  let relations: RelationDefinition[] = [];
  let indexes = new Map<number, number>();
  let events = 0;
  let characters = 0;
  // They hold of the first slice's events already.
  let { tables } = batch;
  const relationOf = (index: number): number => {
    if (index === -1) return -1;
    let mine = indexes.get(index);
    if (mine === undefined) {
      mine = relations.push(batch.relations[index] as RelationDefinition) - 1;
      indexes.set(index, mine);
    }
    return mine;
  };
  const slice = (endLsn: AppendBatch['endLsn']): AppendBatch => {
    const cut = { relations, transactions, endLsn, ...(tables === undefined ? {} : { tables }) };
    tables = undefined;
    [transactions, relations, indexes, events, characters] = [[], [], new Map(), 0, 0];
    return cut;
  };
  for (const transaction of batch.transactions) {
    let firstIndex = transaction.firstIndex;
    let part: NewEvent[] = [];
    for (const whole of transaction.events) {
      const had = charactersOf(whole.before) + charactersOf(whole.after);
      const event = had > ARRAY_CHARACTERS_MAX ? withinBound(whole, batch.relations[whole.relation], had) : whole;
      const size = Math.min(had, EVENT_CHARACTERS_MAX);
      if (events >= SLICE_EVENTS_MAX || (events > 0 && characters + size > SLICE_CHARACTERS_MAX)) {
        if (part.length > 0) transactions.push({ ...transaction, firstIndex, events: part });
        firstIndex += part.length;
        part = [];
        yield slice(undefined);
      }
      part.push({ ...event, relation: relationOf(event.relation) });
      events += 1;
      characters += size;
    }
    // A transaction that is complete and has no events leaves no trace; the end of one whose pieces went before does.
    if (part.length > 0 || firstIndex > 0) transactions.push({ ...transaction, firstIndex, events: part });
  }
  yield slice(batch.endLsn);
}
