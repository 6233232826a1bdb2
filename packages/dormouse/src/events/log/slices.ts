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
 * Characters of values that one event carries, old row and new row together. Values beyond that are left out, and the
 * event names them. On its way to a reader a value is held as text, as JSON and as bytes; an event of this size takes
 * the main loop some 10 ms.
 */
export const EVENT_CHARACTERS_MAX: number = 4 * 1024 * 1024;
/**
 * Characters of one array. An array is parsed and printed again, which takes the main loop ten times as long as a text
 * of the same size.
 */
export const ARRAY_CHARACTERS_MAX: number = 512 * 1024;

/** Events of one slice: storing them takes the log's thread some 10 ms, and the main loop less to hand them over. */
const SLICE_EVENTS_MAX = 2000;
/** Characters of one slice, unless a single event has more. */
const SLICE_CHARACTERS_MAX = 1024 * 1024;

function charactersOf(row: Row | undefined): number {
  let characters = 0;
  for (const value of row ?? []) if (typeof value === 'string') characters += value.length;
  return characters;
}

/**
 * The event without arrays over their bound, and without as many of its largest values as it takes to fit the bound.
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
 * Cuts a batch into slices, so that each takes the log's thread a short turn. All slices but the last are incomplete:
 * their events become visible when the last slice is stored, or never. Gives at least one slice.
 */
export function* slicesOf(batch: AppendBatch): Generator<AppendBatch, void, void> {
  let transactions: NewTransaction[] = [];
  let relations: RelationDefinition[] = [];
  let indexes = new Map<number, number>();
  let events = 0;
  let characters = 0;
  // The facts of tables go with the first slice: they hold for its events already.
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
    // A complete transaction without events is not stored, unless it is the end of one whose pieces went before.
    if (part.length > 0 || firstIndex > 0) transactions.push({ ...transaction, firstIndex, events: part });
  }
  yield slice(batch.endLsn);
}
