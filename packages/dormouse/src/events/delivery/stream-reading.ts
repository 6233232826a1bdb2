import type { ServerResponse } from 'node:http';
import { DormouseError } from '../../base/index.ts';
import type { DatabaseEvents } from '../database-events.ts';
import type { ReadResult, RelationDefinition, StoredEvent, TableName } from '../log/index.ts';
import { follow, formatOffset, ORIGIN, type Position, parseOffset } from '../log/index.ts';
import { type EventFilter, passes } from './filter.ts';
import { stateMessage } from './state-message.ts';

/** What one request reads, and from where. */
export interface Reading {
  readonly events: DatabaseEvents;
  /** Undefined: all tables. */
  readonly table: TableName | undefined;
  /** Undefined: every event. */
  readonly filter: EventFilter | undefined;
  readonly after: Position;
  /** The saved cursor lay before what is kept. */
  readonly skipped: boolean;
}

/** The part of a read request that says which tables. */
export function tablesOf({ table }: Reading): { readonly tables?: readonly TableName[] } {
  return table === undefined ? {} : { tables: [table] };
}

/**
 * Follows the log from where the reading is, until `ended` is aborted. A reply that is not taken in time is destroyed.
 */
export function followReading(
  reading: Reading,
  response: ServerResponse,
  ended: AbortController,
): ReturnType<typeof follow> {
  const { events: from, after } = reading;
  const late = (): void => void response.destroy();
  return follow({ from, after, signal: ended.signal, late, ...tablesOf(reading) });
}

/** The state messages of those events that the reading wants; truncations and gaps are always among them. */
export function messagesOf({ filter, table }: Reading, result: ReadResult): string[] {
  const wanted = (event: StoredEvent): boolean => {
    if (event.operation === 'gap' || event.operation === 'truncate') return true;
    return filter === undefined || passes(filter, event);
  };
  const messages: string[] = [];
  for (const event of result.events) {
    if (table !== undefined && event.relation !== undefined && !isOf(event.relation, table)) continue;
    if (wanted(event)) messages.push(stateMessage(event));
  }
  return messages;
}

/** The message that tells a reader of events that are no longer kept. */
export function skippedMessage(offset: string): string {
  return JSON.stringify({ headers: { control: 'reset', offset, reason: 'gap' } });
}

/** The position of an offset as readers write it. Fails with `request_invalid`, `stream_gone`. */
export async function positionOf(events: DatabaseEvents, offset: string): Promise<Position> {
  if (offset === 'now') return (await events.log.state()).tail;
  if (offset === '-1') return (await events.log.state()).floor;
  const parsed = parseOffset(offset);
  if (parsed === undefined)
    throw new DormouseError('request_invalid', { message: 'This is not an offset of a stream.' });
  await events.log.checkEpoch(parsed.position, parsed.epoch);
  return parsed.position;
}

/** The offset of a position; the place before the first event is of the first epoch. */
export async function offsetOf(events: DatabaseEvents, position: Position): Promise<string> {
  return formatOffset(position, await events.epochOf(position.ordinal === ORIGIN.ordinal ? 1 : position.ordinal));
}

/** A partition's rows are rows of the table that it is a part of. */
function isOf(relation: RelationDefinition, table: TableName): boolean {
  return [relation, ...(relation.ancestors ?? [])].some(
    ({ schema, name }) => schema === table.schema && name === table.name,
  );
}
