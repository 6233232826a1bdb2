import type { FieldDescription } from '../../../wire/index.ts';

/** Records of another list that hang from those of this one, under a name that is no column's. */
export interface Attachment {
  readonly name: string;
  readonly child: RecordSet;
  /** For each record its children's places in `child`, in order. */
  readonly children: readonly (readonly number[])[];
  /** One record or null instead of a list. */
  readonly single: boolean;
}

const NO_ATTACHMENTS: readonly Attachment[] = [];

/** Records as a statement returned them, undecoded, and what was joined to them. */
export class RecordSet {
  readonly fields: readonly FieldDescription[];
  /** DataRow payloads. */
  readonly rows: readonly Uint8Array[];
  /** One record (or null, if there is none) instead of a list. */
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

  /** The same records in another order, or some of them. */
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

/** The column that a record's member is read from: of several with one name the last. -1 for none. */
export function columnOf(fields: readonly FieldDescription[], name: string): number {
  for (let index = fields.length - 1; index >= 0; index--) if (fields[index]?.name === name) return index;
  return -1;
}
