import type { FieldDescription } from '../../../wire/index.ts';

/** The records of another set that a join attached to the records of this set, under a name that no column has. */
export interface Attachment {
  readonly name: string;
  readonly child: RecordSet;
  /** For each record of this set, the positions of its children in `child`, in their order. */
  readonly children: readonly (readonly number[])[];
  /** Whether the member is one record or null instead of a list. */
  readonly single: boolean;
}

const NO_ATTACHMENTS: readonly Attachment[] = [];

/** Records as a statement returned them, undecoded, and the records that joins attached to them. */
export class RecordSet {
  readonly fields: readonly FieldDescription[];
  /** The payloads of DataRow messages, one per record. */
  readonly rows: readonly Uint8Array[];
  /** Whether the value is one record (or null, if `rows` is empty) instead of a list. */
  readonly single: boolean;
  readonly attachments: readonly Attachment[];

  constructor(
    fields: readonly FieldDescription[],
    rows: readonly Uint8Array[],
    single = false,
    attachments: readonly Attachment[] = NO_ATTACHMENTS,
  ) {
    this.fields = fields;
    this.rows = rows;
    this.single = single;
    this.attachments = attachments;
  }

  /** A set of the records at the given positions, in the given order. */
  pick(positions: readonly number[]): RecordSet {
    return new RecordSet(
      this.fields,
      positions.map((position) => this.rows[position] as Uint8Array),
      this.single,
      this.attachments.map((attachment) => ({
        ...attachment,
        children: positions.map((position) => attachment.children[position] ?? []),
      })),
    );
  }
}

/** The index of the column that a record's member is read from: the last of several with one name; -1 for none. */
export function columnOf(fields: readonly FieldDescription[], name: string): number {
  for (let index = fields.length - 1; index >= 0; index--) if (fields[index]?.name === name) return index;
  return -1;
}
