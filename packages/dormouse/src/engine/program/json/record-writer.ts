import type { ResultNode } from '@prisma/client-engine-runtime';
import { NeedsRuntime } from '../needs-runtime.ts';
import { SLICE_BYTES, type Slices } from '../pace.ts';
import { type Attachment, columnOf, type RecordSet, RowReader } from '../records/index.ts';
import { type ColumnWriter, columnWriter, NULL } from './column-writers.ts';
import type { Enums } from './decoded-json.ts';
import { JsonColumn } from './json-column.ts';
import type { JsonWriter } from './json-writer.ts';
import { isOrderedName } from './ordered-names.ts';

type ObjectNode = Extract<ResultNode, { type: 'object' }>;

/** A record with more children of one relation than this, or with a child of more bytes, is written in slices. */
const SMALL_LIST = 256;
const SMALL_BYTES = 16 * 1024;
/** Records that `texts` writes per slice. */
const TEXTS_PER_SLICE = 1024;
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
 * Writes records as JSON, in the form that a plan gives them.
 *
 * Invariants:
 * - A writer belongs to the columns and attachments of one result (`fits`). The program keeps it and makes another
 *   when the columns change.
 * - The steps are computed once: per record, a step writes its constant bytes and then one value, without looking at
 *   the plan.
 * - A value that the plan does not expect throws `NeedsRuntime`. Then the runtime writes the whole reply anew.
 * - The reader holds the offsets of the record that is being written, so a writer writes one record at a time, and
 *   between two slices no other reply may use it (`Program.detach`).
 */
export class RecordWriter {
  readonly #enums: Enums;
  readonly #reader: RowReader;
  readonly #steps: Step[] = [];
  readonly #fields: RecordSet['fields'];
  /** Names of the attachments. */
  readonly #names: readonly string[];
  /** Whether records have columns only, so that a record takes little time unless it is long. */
  readonly #isFlat: boolean;

  constructor(node: ObjectNode, enums: Enums, records: RecordSet) {
    this.#enums = enums;
    this.#fields = records.fields;
    this.#reader = new RowReader(records.fields.length);
    this.#names = records.attachments.map(({ name }) => name);
    this.#object(node, records, '');
    if (this.#steps.length === 0) throw new NeedsRuntime();
    this.#isFlat = this.#steps.every(({ does }) => does !== 'related');
  }

  /** Whether this writer was made for records with the same columns and attachments. */
  fits(records: RecordSet): boolean {
    if (!this.#fitsColumns(records) || records.attachments.length !== this.#names.length) return false;
    for (let i = 0; i < this.#names.length; i++) if (records.attachments[i]?.name !== this.#names[i]) return false;
    return this.#steps.every(
      (step) => step.does !== 'related' || step.writer.fits((records.attachments[step.attachment] as Attachment).child),
    );
  }

  #fitsColumns(records: RecordSet): boolean {
    // The same statement gives the same list, until the server parses the statement again.
    if (records.fields === this.#fields) return true;
    if (records.fields.length !== this.#fields.length) return false;
    for (let i = 0; i < records.fields.length; i++) {
      const [mine, other] = [this.#fields[i], records.fields[i]];
      if (mine?.typeOid !== other?.typeOid || mine?.name !== other?.name) return false;
    }
    return true;
  }

  /** Writes the records as a list or, for a single one, as a record or null. */
  *writing(out: JsonWriter, records: RecordSet): Slices<void> {
    if (!records.single) yield* this.#list(out, records, undefined);
    else if (records.rows.length === 0) out.raw(NULL);
    else yield* this.#large(out, records, 0);
  }

  /** Gives each record as a text of its own. */
  *texts(out: JsonWriter, records: RecordSet): Slices<string[]> {
    const texts: string[] = [];
    for (let position = 0; position < records.rows.length; position++) {
      const start = out.length;
      yield* this.#large(out, records, position);
      texts.push(out.textFrom(start));
      if (texts.length % TEXTS_PER_SLICE === 0) yield;
    }
    return texts;
  }

  /** Writes a list of all records, or of those at the given positions. */
  *#list(out: JsonWriter, records: RecordSet, positions: readonly number[] | undefined): Slices<void> {
    out.byte(OPEN_LIST);
    const count = positions === undefined ? records.rows.length : positions.length;
    let sliceEnd = out.length + SLICE_BYTES;
    for (let index = 0; index < count; index++) {
      if (index > 0) out.byte(COMMA);
      const position = positions === undefined ? index : (positions[index] as number);
      if (this.#isSmall(records, position)) this.#record(out, records, position);
      else yield* this.#large(out, records, position);
      if (out.length >= sliceEnd) {
        yield;
        sliceEnd = out.length + SLICE_BYTES;
      }
    }
    out.byte(CLOSE_LIST);
  }

  #isSmall(records: RecordSet, position: number): boolean {
    if ((records.rows[position] as Uint8Array).length > SLICE_BYTES) return false;
    if (this.#isFlat) return true;
    for (const step of this.#steps) {
      if (step.does !== 'related') continue;
      if (!step.writer.#isFlat) return false;
      const { child, children } = records.attachments[step.attachment] as Attachment;
      const positions = children[position] ?? [];
      if (positions.length > SMALL_LIST) return false;
      for (const each of positions) if ((child.rows[each] as Uint8Array).length > SMALL_BYTES) return false;
    }
    return true;
  }

  #object(node: ObjectNode, records: RecordSet, before: string): void {
    let text = `${before}{`;
    let first = true;
    for (const [name, field] of Object.entries(node.fields)) {
      if (!isOrderedName(name)) throw new NeedsRuntime();
      text += `${first ? '' : ','}${JSON.stringify(name)}:`;
      first = false;
      if (field.type === 'field') {
        this.#column(field, records, text);
      } else if (field.type === 'affectedRows') {
        throw new NeedsRuntime();
      } else if (field.serializedName === null) {
        this.#object(field, records, text);
      } else {
        this.#related(field, field.serializedName, records, text);
      }
      text = '';
    }
    this.#steps.push({ does: 'text', prefix: Buffer.from(`${text}}`) });
  }

  #column(node: Extract<ResultNode, { type: 'field' }>, records: RecordSet, text: string): void {
    const column = columnOf(records.fields, node.dbName);
    const field = records.fields[column];
    if (field === undefined || records.attachments.some(({ name }) => name === node.dbName)) throw new NeedsRuntime();
    this.#steps.push({
      does: 'column',
      prefix: Buffer.from(text),
      column,
      absent: node.fieldType.arity === 'list' ? EMPTY_LIST : (NULL as Buffer),
      write: columnWriter(field.typeOid, node.fieldType, this.#enums, field.name),
    });
  }

  #related(node: ObjectNode, source: string, records: RecordSet, text: string): void {
    const attachment = records.attachments.findLastIndex(({ name }) => name === source);
    const related = records.attachments[attachment];
    if (related !== undefined) {
      const writer = new RecordWriter(node, this.#enums, related.child);
      this.#steps.push({ does: 'related', prefix: Buffer.from(text), attachment, writer });
      return;
    }
    const column = columnOf(records.fields, source);
    const typeOid = records.fields[column]?.typeOid;
    // json and jsonb, which the runtime is given as text too.
    if (typeOid !== 114 && typeOid !== 3802) throw new NeedsRuntime();
    this.#steps.push({ does: 'json', prefix: Buffer.from(text), column, json: new JsonColumn(node, this.#enums) });
  }

  #record(out: JsonWriter, records: RecordSet, index: number): void {
    this.#reader.read(records.rows[index] as Uint8Array);
    for (const step of this.#steps) {
      out.raw(step.prefix);
      if (step.does === 'related') this.#children(out, records, step, index);
      else this.#value(out, step);
    }
  }

  /** As `#record`, in slices, for a record that is long or has many or long children. */
  *#large(out: JsonWriter, records: RecordSet, index: number): Slices<void> {
    const { from, to } = this.#reader;
    this.#reader.read(records.rows[index] as Uint8Array);
    for (const step of this.#steps) {
      out.raw(step.prefix);
      if (step.does === 'related') {
        const { child, single, positions } = childrenOf(records, step.attachment, index);
        const position = positions[positions.length - 1];
        if (!single) yield* step.writer.#list(out, child, positions);
        else if (position === undefined) out.raw(NULL);
        else yield* step.writer.#large(out, child, position);
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
    records: RecordSet,
    { attachment, writer }: Extract<Step, { does: 'related' }>,
    index: number,
  ): void {
    const { child, single, positions } = childrenOf(records, attachment, index);
    if (single) {
      const position = positions[positions.length - 1];
      if (position === undefined) out.raw(NULL);
      else writer.#record(out, child, position);
      return;
    }
    out.byte(OPEN_LIST);
    for (let i = 0; i < positions.length; i++) {
      if (i > 0) out.byte(COMMA);
      writer.#record(out, child, positions[i] as number);
    }
    out.byte(CLOSE_LIST);
  }
}

function childrenOf(
  records: RecordSet,
  at: number,
  index: number,
): { readonly child: RecordSet; readonly single: boolean; readonly positions: readonly number[] } {
  const attachment = records.attachments[at];
  const positions = attachment?.children[index];
  if (attachment === undefined || positions === undefined) throw new NeedsRuntime();
  return { child: attachment.child, single: attachment.single, positions };
}
