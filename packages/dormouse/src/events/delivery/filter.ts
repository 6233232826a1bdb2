import type { Operation, RelationDefinition, Row, StoredEvent } from '../log/index.ts';
import {
  type ColumnType,
  compare,
  contains,
  equal,
  isObject,
  itemsOf,
  type Json,
  type JsonObject,
  type List,
  type Literal,
  literalOf,
  refuse,
} from './filter-values.ts';

/**
 * The events that a subscriber wants, by operation. An operation without a predicate is not wanted.
 */
export interface EventFilter {
  readonly insert?: Predicate | undefined;
  readonly update?: Predicate | undefined;
  readonly delete?: Predicate | undefined;
}

/** True, false, or undefined for unknown, as in SQL: NULL and values that the event does not carry are unknown. */
type Truth = boolean | undefined;
/** Gives a column's text, null for NULL, undefined if the value is not known. */
interface RowReader {
  column(name: string): { readonly text: string | null | undefined; readonly type: ColumnType };
}
export type Predicate = (row: RowReader) => Truth;

/** Filters are evaluated recursively, so their depth is bounded here; their size is bounded by the header. */
const DEPTH_MAX = 16;

type Test = (text: string, type: ColumnType) => Truth;

function ordered(value: Json, accept: (order: number) => boolean): Test {
  const literal = literalOf(value);
  return (text, { typeOid }) => {
    const order = compare(text, typeOid, literal);
    return order === undefined ? undefined : accept(order);
  };
}
function textual(name: string, value: Json, insensitive: boolean, accept: (a: string, b: string) => boolean): Test {
  if (typeof value !== 'string') refuse(`${name} takes a string`);
  const wanted = insensitive ? (value as string).toLowerCase() : (value as string);
  return (text) => accept(insensitive ? text.toLowerCase() : text, wanted);
}
function listOf(name: string, value: Json): Literal[] {
  if (!Array.isArray(value)) refuse(`${name} takes a list`);
  return (value as readonly Json[]).map(literalOf);
}

function equality(value: Json, insensitive: boolean): Test {
  if (Array.isArray(value)) {
    const literals = value.map(literalOf);
    return (text, type) => {
      const list = itemsOf(text, type);
      return (
        list !== undefined &&
        list.items.length === literals.length &&
        literals.every((literal, i) => contains({ items: [list.items[i] ?? null], oid: list.oid }, literal))
      );
    };
  }
  const literal = literalOf(value);
  if (insensitive && literal.kind === 'text') {
    const wanted = literal.text.toLowerCase();
    return (text) => text.toLowerCase() === wanted;
  }
  return (text, { typeOid }) => equal(text, typeOid, literal);
}

/** The tests of one column. A value that is NULL or unknown makes every test unknown, except tests for null itself. */
function columnPredicate(column: string, condition: Json, depth: number): Predicate {
  const plain = !isObject(condition) || typeof condition.$type === 'string';
  const operators: JsonObject = plain ? { equals: condition } : condition;
  const insensitive = operators.mode === 'insensitive';
  const tests: Predicate[] = [];
  const onValue = (test: Test): void => {
    tests.push((row) => {
      const { text, type } = row.column(column);
      return text === null || text === undefined ? undefined : test(text, type);
    });
  };
  for (const [name, value] of Object.entries(operators)) {
    switch (name) {
      case 'equals':
        if (value === null) tests.push((row) => isNull(row, column));
        else onValue(equality(value, insensitive));
        break;
      case 'not': {
        if (value === null) {
          tests.push((row) => not(isNull(row, column)));
          break;
        }
        const inner =
          isObject(value) && insensitive && value.mode === undefined ? { ...value, mode: 'insensitive' } : value;
        if (depth >= DEPTH_MAX) refuse('it is nested too deeply');
        const predicate = columnPredicate(column, inner, depth + 1);
        tests.push((row) => not(predicate(row)));
        break;
      }
      case 'in':
      case 'notIn': {
        const literals = listOf(name, value);
        onValue((text, { typeOid }) => literals.some((literal) => equal(text, typeOid, literal)) === (name === 'in'));
        break;
      }
      case 'lt':
        onValue(ordered(value, (order) => order < 0));
        break;
      case 'lte':
        onValue(ordered(value, (order) => order <= 0));
        break;
      case 'gt':
        onValue(ordered(value, (order) => order > 0));
        break;
      case 'gte':
        onValue(ordered(value, (order) => order >= 0));
        break;
      case 'contains':
        onValue(textual(name, value, insensitive, (a, b) => a.includes(b)));
        break;
      case 'startsWith':
        onValue(textual(name, value, insensitive, (a, b) => a.startsWith(b)));
        break;
      case 'endsWith':
        onValue(textual(name, value, insensitive, (a, b) => a.endsWith(b)));
        break;
      case 'mode':
        if (value !== 'default' && value !== 'insensitive') refuse(`mode ${JSON.stringify(value)} is not known`);
        break;
      case 'has': {
        const literal = literalOf(value);
        onValue((text, type) => onList(text, type, (list) => contains(list, literal)));
        break;
      }
      case 'hasEvery': {
        const literals = listOf(name, value);
        onValue((text, type) => onList(text, type, (list) => literals.every((literal) => contains(list, literal))));
        break;
      }
      case 'hasSome': {
        const literals = listOf(name, value);
        onValue((text, type) => onList(text, type, (list) => literals.some((literal) => contains(list, literal))));
        break;
      }
      case 'isEmpty':
        if (typeof value !== 'boolean') refuse('isEmpty takes true or false');
        onValue((text, type) => onList(text, type, (list) => (list.items.length === 0) === value));
        break;
      default:
        refuse(`the operator ${JSON.stringify(name)} is not known`);
    }
  }
  return all(tests);
}

function onList(text: string, type: ColumnType, test: (list: List) => boolean): Truth {
  const list = itemsOf(text, type);
  return list === undefined ? undefined : test(list);
}
function isNull(row: RowReader, column: string): Truth {
  const { text } = row.column(column);
  return text === undefined ? undefined : text === null;
}
function not(truth: Truth): Truth {
  return truth === undefined ? undefined : !truth;
}
function all(predicates: readonly Predicate[]): Predicate {
  return (row) => {
    let out: Truth = true;
    for (const predicate of predicates) {
      const truth = predicate(row);
      if (truth === false) return false;
      if (truth === undefined) out = undefined;
    }
    return out;
  };
}
function any(predicates: readonly Predicate[]): Predicate {
  return (row) => {
    let out: Truth = false;
    for (const predicate of predicates) {
      const truth = predicate(row);
      if (truth === true) return true;
      if (truth === undefined) out = undefined;
    }
    return out;
  };
}

/** Compiles one `where`. `columnOf` gives a field's column; a field without one is refused. */
export function compileWhere(where: unknown, columnOf: (field: string) => string | undefined, depth = 0): Predicate {
  if (!isObject(where as Json)) refuse('a condition is an object');
  if (depth >= DEPTH_MAX) refuse('it is nested too deeply');
  const list = (name: string, value: Json): Predicate[] => {
    const conditions = Array.isArray(value) ? value : [value];
    if (name === 'OR' && !Array.isArray(value)) refuse('OR takes a list');
    return conditions.map((condition) => compileWhere(condition, columnOf, depth + 1));
  };
  const parts: Predicate[] = [];
  for (const [name, value] of Object.entries(where as JsonObject)) {
    if (name === 'AND') parts.push(all(list(name, value)));
    else if (name === 'OR') parts.push(any(list(name, value)));
    else if (name === 'NOT') {
      const inner = list(name, value);
      parts.push(
        all(
          inner.map(
            (predicate): Predicate =>
              (row) =>
                not(predicate(row)),
          ),
        ),
      );
    } else {
      const column = columnOf(name);
      if (column === undefined) refuse(`there is no field ${JSON.stringify(name)}`);
      parts.push(columnPredicate(column as string, value, depth));
    }
  }
  return all(parts);
}

const KEYS: Readonly<Record<string, 'insert' | 'update' | 'delete'>> = {
  create: 'insert',
  update: 'update',
  delete: 'delete',
};

/**
 * Compiles `{create?, update?: {after?}, delete?}`; without any of them every event is wanted. Fails with
 * `request_invalid`, which names the part that is not understood: no part of a filter is ignored.
 */
export function compileFilter(args: unknown, columnOf: (field: string) => string | undefined): EventFilter {
  const always: Predicate = () => true;
  if (args !== undefined && args !== null && !isObject(args as Json)) refuse('it is not an object');
  const filter: { -readonly [Key in keyof EventFilter]: EventFilter[Key] } = {};
  let named = false;
  for (const [name, value] of Object.entries((args ?? {}) as JsonObject)) {
    if (name === 'name' || value === undefined) continue;
    const operation = KEYS[name];
    if (operation === undefined) refuse(`${JSON.stringify(name)} is none of create, update, delete, name`);
    named = true;
    if (name !== 'update') {
      filter[operation as 'insert' | 'delete'] = value === null ? always : compileWhere(value, columnOf);
      continue;
    }
    const { after, ...rest } = isObject(value) ? value : {};
    const [unknown] = Object.keys(rest);
    if (unknown !== undefined) refuse(`update.${unknown} is not known, only update.after`);
    filter.update = after === undefined ? always : compileWhere(after, columnOf);
  }
  return named ? filter : { insert: always, update: always, delete: always };
}

const NO_COLUMN: ColumnType = { typeOid: 0 };

function readerOf(relation: RelationDefinition, row: Row): RowReader {
  return {
    column(name) {
      const index = relation.columns.findIndex((column) => column.name === name);
      const value = row[index];
      return {
        text: typeof value === 'string' || value === null ? value : undefined,
        type: relation.columns[index] ?? NO_COLUMN,
      };
    },
  };
}

/**
 * True if the filter lets an event through. A condition on a value that the event does not carry does not hold.
 */
export function passes(filter: EventFilter, event: StoredEvent): boolean {
  const operation: Operation = event.operation;
  if (operation !== 'insert' && operation !== 'update' && operation !== 'delete') return false;
  const predicate = filter[operation];
  const row = operation === 'delete' ? event.before : event.after;
  if (predicate === undefined || event.relation === undefined || row === undefined) return false;
  return predicate(readerOf(event.relation, row)) === true;
}
