import { assert } from '../base/index.ts';
import { BEYOND, type Lsn, type PgoutputMessage, type PgoutputRelation, type TupleValue } from '../wire/index.ts';
import {
  type AppendBatch,
  type ColumnDefinition,
  type NewTransaction,
  OMITTED,
  type Operation,
  type RelationDefinition,
  type Row,
  UNKNOWN,
} from './event-log.ts';

/** The schema of our own things in a tenant's database; its tables are nobody's events. */
export const OWN_SCHEMA = 'dormouse';

interface Change {
  relation: number;
  readonly operation: Operation;
  readonly before: Row | undefined;
  readonly after: Row | undefined;
}
interface Assembled extends NewTransaction {
  readonly events: Change[];
}

/** An unchanged TOASTed value is left out; with the whole old row at hand it is known. Of a change that was cut nothing is there. */
function wholeRow({ columns }: RelationDefinition, tuple: readonly TupleValue[], old?: readonly TupleValue[]): Row {
  return columns.map((_, i) => {
    const value = i < tuple.length ? tuple[i] : BEYOND;
    const known = value === undefined ? old?.[i] : value;
    return known === BEYOND ? OMITTED : known === undefined ? UNKNOWN : known;
  });
}
/** Columns outside the key come as NULL in a key tuple: they are unknown. */
function keyRow(relation: RelationDefinition, tuple: readonly TupleValue[]): Row {
  return wholeRow(relation, tuple).map((value, i) => (relation.columns[i]?.key === true ? value : UNKNOWN));
}

/**
 * Turns the stream of one connection into batches for the log: whole transactions as they commit, a giant one in pieces.
 * Memory is what was pushed and not taken; the caller stops reading when {@link bytes} is over its bound.
 */
export class TransactionAssembler {
  readonly #relations: RelationDefinition[] = [];
  /** By OID, the index of its present definition; -1 for what is not recorded. */
  readonly #current = new Map<number, number>();
  /** Types of the database's own that are arrays: Postgres names those with an underscore in front. */
  readonly #arrayTypes = new Set<number>();
  readonly #pieceBytes: number;
  #open: Assembled | undefined;
  #openBytes = 0;
  #complete: Assembled[] = [];
  #completeBytes = 0;
  #endLsn: Lsn | undefined;

  /** An open transaction of more than `pieceBytes` is handed over in pieces. */
  constructor(pieceBytes: number) {
    this.#pieceBytes = pieceBytes;
  }

  /** Bytes of WAL messages that wait to be taken. */
  get bytes(): number {
    return this.#openBytes + this.#completeBytes;
  }
  /** Between transactions, and all was taken. */
  get empty(): boolean {
    return this.#open === undefined && this.#endLsn === undefined;
  }

  /** Takes the next message, of `bytes` bytes. */
  push(message: PgoutputMessage, bytes: number): void {
    switch (message.kind) {
      case 'begin': {
        assert(this.#open === undefined, 'transactions do not nest');
        const { commitLsn, xid, committedAtMs } = message;
        this.#open = { commitLsn, xid, committedAtMs, firstIndex: 0, events: [] };
        return;
      }
      case 'commit': {
        const open = this.#open;
        assert(open !== undefined, 'a commit follows its begin');
        this.#complete.push(open);
        this.#completeBytes += this.#openBytes;
        this.#endLsn = message.endLsn;
        this.#open = undefined;
        this.#openBytes = 0;
        return;
      }
      case 'type':
        if (message.name.startsWith('_')) this.#arrayTypes.add(message.oid);
        return;
      case 'relation':
        this.#define(message);
        return;
      case 'insert':
        this.#add(message.relationOid, 'insert', bytes, (relation) => [undefined, wholeRow(relation, message.after)]);
        return;
      case 'update': {
        const { before, beforeKind, after } = message;
        this.#add(message.relationOid, 'update', bytes, (relation) => {
          if (before === undefined) return [undefined, wholeRow(relation, after)];
          return beforeKind === 'row'
            ? [wholeRow(relation, before), wholeRow(relation, after, before)]
            : [keyRow(relation, before), wholeRow(relation, after)];
        });
        return;
      }
      case 'delete': {
        const { before, beforeKind } = message;
        this.#add(message.relationOid, 'delete', bytes, (relation) => [
          beforeKind === 'row' ? wholeRow(relation, before) : keyRow(relation, before),
          undefined,
        ]);
        return;
      }
      case 'truncate':
        for (const oid of message.relationOids) this.#add(oid, 'truncate', bytes, () => [undefined, undefined]);
        return;
      case 'other':
        return;
    }
  }

  /** What is ready for the log: complete transactions, else a piece of a large open one, else nothing. */
  take(): AppendBatch | undefined {
    if (this.#endLsn !== undefined) {
      const batch = this.#batch(this.#complete, this.#endLsn);
      this.#complete = [];
      this.#completeBytes = 0;
      this.#endLsn = undefined;
      return batch;
    }
    const open = this.#open;
    if (open === undefined || this.#openBytes < this.#pieceBytes) return undefined;
    const batch = this.#batch([open], undefined);
    this.#open = { ...open, firstIndex: open.firstIndex + open.events.length, events: [] };
    this.#openBytes = 0;
    return batch;
  }

  #define(message: PgoutputRelation): void {
    if (message.schema === OWN_SCHEMA) {
      this.#current.set(message.oid, -1);
      return;
    }
    // Comes again before first use after anything changed; an equal one keeps its index.
    const columns = message.columns.map(({ name, typeOid, key }): ColumnDefinition => {
      return this.#arrayTypes.has(typeOid) ? { name, typeOid, key, list: true } : { name, typeOid, key };
    });
    const definition: RelationDefinition = { schema: message.schema, name: message.name, columns };
    const known = this.#current.get(message.oid);
    if (known !== undefined && JSON.stringify(this.#relations[known]) === JSON.stringify(definition)) return;
    this.#current.set(message.oid, this.#relations.push(definition) - 1);
  }

  #add(
    oid: number,
    operation: Operation,
    bytes: number,
    rows: (relation: RelationDefinition) => [before: Row | undefined, after: Row | undefined],
  ): void {
    const open = this.#open;
    const relation = this.#current.get(oid);
    assert(open !== undefined, 'changes lie between begin and commit');
    assert(relation !== undefined, 'a relation is described before its first change');
    if (relation === -1) return;
    const [before, after] = rows(this.#relations[relation] as RelationDefinition);
    open.events.push({ relation, operation, before, after });
    this.#openBytes += bytes;
  }

  /** Numbers the relations anew, so that a batch carries only those it needs. */
  #batch(transactions: readonly Assembled[], endLsn: Lsn | undefined): AppendBatch {
    const used = new Map<number, number>();
    const relations: RelationDefinition[] = [];
    for (const transaction of transactions) {
      for (const event of transaction.events) {
        if (event.relation === -1) continue;
        let index = used.get(event.relation);
        if (index === undefined) {
          index = relations.push(this.#relations[event.relation] as RelationDefinition) - 1;
          used.set(event.relation, index);
        }
        event.relation = index;
      }
    }
    return { relations, transactions, endLsn };
  }
}
