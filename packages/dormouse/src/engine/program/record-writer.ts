import type { ResultNode } from '@prisma/client-engine-runtime';
import { type ColumnWriter, columnWriter, NULL } from './column-writers.ts';
import { JsonColumn } from './json-column.ts';
import type { JsonWriter } from './json-writer.ts';
import type { Enums } from './loose-values.ts';
import { NotCovered } from './not-covered.ts';
import { isOrderedName } from './ordered-names.ts';
import { SLICE_BYTES, type Slices } from './pace.ts';
import { RowReader } from './row-reader.ts';
import { type Attachment, columnOf, type Rows } from './row-set.ts';

type ObjectNode = Extract<ResultNode, { type: 'object' }>;

/** Children of one record that are written at a stretch, and how long one may be. */
const SMALL_LIST = 256;
const TEXTS_AT_A_STRETCH = 1024;
const SMALL_BYTES = 16 * 1024;
const EMPTY_LIST = Buffer.from('[]');
const COMMA = 0x2c;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;

/** One step of writing a record. */
type Step =
  | {
      readonly does: 'column';
      readonly prefix: Buffer;
      readonly column: number;
      readonly absent: Buffer;
      readonly write: ColumnWriter;
    }
  | { readonly does: 'json'; readonly prefix: Buffer; readonly column: number; readonly json: JsonColumn }
  | { readonly does: 'related'; readonly prefix: Buffer; readonly attachment: number; readonly writer: RecordWriter }
  | { readonly does: 'text'; readonly prefix: Buffer };

/**
 * Writes records of one form as JSON. Made for the columns of one result; kept with its plan and made anew when the
 * columns are others.
 */
export class RecordWriter {
  readonly #enums: Enums;
  readonly #reader: RowReader;
  readonly #steps: Step[] = [];
  readonly #fields: Rows['fields'];
  /** Types by column: a statement that is parsed anew describes its columns in a new list. */
  readonly #names: readonly string[];
  /** Columns only: a record takes a moment, whatever it holds, unless it is long. */
  readonly #isFlat: boolean;

  constructor(node: ObjectNode, enums: Enums, rows: Rows) {
    this.#enums = enums;
    this.#fields = rows.fields;
    this.#reader = new RowReader(rows.fields.length);
    this.#names = rows.attachments.map(({ name }) => name);
    this.#object(node, rows, '');
    if (this.#steps.length === 0) throw new NotCovered();
    this.#isFlat = this.#steps.every(({ does }) => does !== 'related');
  }

  /** Whether it was made for records like these. */
  fits(rows: Rows): boolean {
    if (!this.#fitsColumns(rows) || rows.attachments.length !== this.#names.length) return false;
    for (let i = 0; i < this.#names.length; i++) if (rows.attachments[i]?.name !== this.#names[i]) return false;
    return this.#steps.every(
      (step) => step.does !== 'related' || step.writer.fits((rows.attachments[step.attachment] as Attachment).child),
    );
  }

  #fitsColumns(rows: Rows): boolean {
    if (rows.fields === this.#fields) return true;
    if (rows.fields.length !== this.#fields.length) return false;
    for (let i = 0; i < rows.fields.length; i++) {
      const [mine, other] = [this.#fields[i], rows.fields[i]];
      if (mine?.typeOid !== other?.typeOid || mine?.name !== other?.name) return false;
    }
    return true;
  }

  /**
   * Writes the records: a list, or the one record or null. Between two slices nobody else may use the writer: it knows
   * where it is.
   */
  *writing(out: JsonWriter, rows: Rows): Slices<void> {
    if (!rows.single) yield* this.#list(out, rows, undefined);
    else if (rows.rows.length === 0) out.raw(NULL);
    else yield* this.#large(out, rows, 0);
  }

  /** Each record as a text of its own. */
  *texts(out: JsonWriter, rows: Rows): Slices<string[]> {
    const texts: string[] = [];
    for (let place = 0; place < rows.rows.length; place++) {
      const start = out.length;
      yield* this.#large(out, rows, place);
      texts.push(out.textFrom(start));
      if (texts.length % TEXTS_AT_A_STRETCH === 0) yield;
    }
    return texts;
  }

  /** Writes a list: of all rows, or of those at some places. */
  *#list(out: JsonWriter, rows: Rows, places: readonly number[] | undefined): Slices<void> {
    out.byte(OPEN_LIST);
    const count = places === undefined ? rows.rows.length : places.length;
    let sliceEnd = out.length + SLICE_BYTES;
    for (let index = 0; index < count; index++) {
      if (index > 0) out.byte(COMMA);
      const place = places === undefined ? index : (places[index] as number);
      if (this.#isSmall(rows, place)) this.#record(out, rows, place);
      else yield* this.#large(out, rows, place);
      if (out.length >= sliceEnd) {
        yield;
        sliceEnd = out.length + SLICE_BYTES;
      }
    }
    out.byte(CLOSE_LIST);
  }

  #isSmall(rows: Rows, place: number): boolean {
    if ((rows.rows[place] as Uint8Array).length > SLICE_BYTES) return false;
    if (this.#isFlat) return true;
    for (const step of this.#steps) {
      if (step.does !== 'related') continue;
      if (!step.writer.#isFlat) return false;
      const { child, children } = rows.attachments[step.attachment] as Attachment;
      const places = children[place] ?? [];
      if (places.length > SMALL_LIST) return false;
      for (const each of places) if ((child.rows[each] as Uint8Array).length > SMALL_BYTES) return false;
    }
    return true;
  }

  #object(node: ObjectNode, rows: Rows, before: string): void {
    let text = `${before}{`;
    let first = true;
    for (const [name, field] of Object.entries(node.fields)) {
      if (!isOrderedName(name)) throw new NotCovered();
      text += `${first ? '' : ','}${JSON.stringify(name)}:`;
      first = false;
      if (field.type === 'field') {
        this.#column(field, rows, text);
      } else if (field.type === 'affectedRows') {
        throw new NotCovered();
      } else if (field.serializedName === null) {
        this.#object(field, rows, text);
      } else {
        this.#related(field, field.serializedName, rows, text);
      }
      text = '';
    }
    this.#steps.push({ does: 'text', prefix: Buffer.from(`${text}}`) });
  }

  #column(node: Extract<ResultNode, { type: 'field' }>, rows: Rows, text: string): void {
    const column = columnOf(rows.fields, node.dbName);
    const field = rows.fields[column];
    if (field === undefined || rows.attachments.some(({ name }) => name === node.dbName)) throw new NotCovered();
    this.#steps.push({
      does: 'column',
      prefix: Buffer.from(text),
      column,
      absent: node.fieldType.arity === 'list' ? EMPTY_LIST : (NULL as Buffer),
      write: columnWriter(field.typeOid, node.fieldType, this.#enums, field.name),
    });
  }

  #related(node: ObjectNode, source: string, rows: Rows, text: string): void {
    const attachment = rows.attachments.findLastIndex(({ name }) => name === source);
    const related = rows.attachments[attachment];
    if (related !== undefined) {
      const writer = new RecordWriter(node, this.#enums, related.child);
      this.#steps.push({ does: 'related', prefix: Buffer.from(text), attachment, writer });
      return;
    }
    const column = columnOf(rows.fields, source);
    const typeOid = rows.fields[column]?.typeOid;
    // json and jsonb, which the runtime is given as text.
    if (typeOid !== 114 && typeOid !== 3802) throw new NotCovered();
    this.#steps.push({ does: 'json', prefix: Buffer.from(text), column, json: new JsonColumn(node, this.#enums) });
  }

  #record(out: JsonWriter, rows: Rows, index: number): void {
    this.#reader.read(rows.rows[index] as Uint8Array);
    for (const step of this.#steps) {
      out.raw(step.prefix);
      if (step.does === 'related') this.#children(out, rows, step, index);
      else this.#value(out, step);
    }
  }

  /** The same for a record that is long, or whose children are. */
  *#large(out: JsonWriter, rows: Rows, index: number): Slices<void> {
    const { from, to } = this.#reader;
    this.#reader.read(rows.rows[index] as Uint8Array);
    for (const step of this.#steps) {
      out.raw(step.prefix);
      if (step.does === 'related') {
        const { child, single, places } = childrenOf(rows, step.attachment, index);
        const place = places[places.length - 1];
        if (!single) yield* step.writer.#list(out, child, places);
        else if (place === undefined) out.raw(NULL);
        else yield* step.writer.#large(out, child, place);
      } else if (step.does === 'json' && (to[step.column] as number) >= 0) {
        yield* step.json.writing(out, this.#reader.row, from[step.column] as number, to[step.column] as number);
      } else {
        this.#value(out, step);
      }
    }
  }

  #value(out: JsonWriter, step: Exclude<Step, { does: 'related' }>): void {
    if (step.does === 'text') return;
    const { row, from, to } = this.#reader;
    const end = to[step.column] as number;
    if (step.does === 'json') {
      if (end < 0) out.raw(NULL);
      else step.json.write(out, row, from[step.column] as number, end);
    } else if (end < 0) out.raw(step.absent);
    else step.write(out, row, from[step.column] as number, end);
  }

  #children(
    out: JsonWriter,
    rows: Rows,
    { attachment, writer }: Extract<Step, { does: 'related' }>,
    index: number,
  ): void {
    const { child, single, places } = childrenOf(rows, attachment, index);
    if (single) {
      const place = places[places.length - 1];
      if (place === undefined) out.raw(NULL);
      else writer.#record(out, child, place);
      return;
    }
    out.byte(OPEN_LIST);
    for (let i = 0; i < places.length; i++) {
      if (i > 0) out.byte(COMMA);
      writer.#record(out, child, places[i] as number);
    }
    out.byte(CLOSE_LIST);
  }
}

function childrenOf(
  rows: Rows,
  at: number,
  index: number,
): { readonly child: Rows; readonly single: boolean; readonly places: readonly number[] } {
  const attachment = rows.attachments[at];
  const places = attachment?.children[index];
  if (attachment === undefined || places === undefined) throw new NotCovered();
  return { child: attachment.child, single: attachment.single, places };
}
