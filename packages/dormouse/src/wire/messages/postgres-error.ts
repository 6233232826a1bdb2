/**
 * The fields of an ErrorResponse or NoticeResponse (protocol section 54.8), by name: all fields that the server sent.
 */
export interface PostgresErrorFields {
  /** Possibly translated. */
  readonly severity?: string;
  /** Never translated: ERROR, FATAL, PANIC, WARNING, NOTICE, DEBUG, INFO, LOG. */
  readonly severityNonLocalized?: string;
  /** SQLSTATE. */
  readonly code?: string;
  readonly message?: string;
  readonly detail?: string;
  readonly hint?: string;
  readonly position?: string;
  readonly internalPosition?: string;
  readonly internalQuery?: string;
  readonly where?: string;
  readonly schema?: string;
  readonly table?: string;
  readonly column?: string;
  readonly dataType?: string;
  readonly constraint?: string;
  readonly file?: string;
  readonly line?: string;
  readonly routine?: string;
  /** Fields of a later protocol version, by their byte. */
  readonly unknown?: Readonly<Record<string, string>>;
}

/** An error that Postgres raised, with every field that Postgres sent. */
export class PostgresError extends Error {
  override readonly name = 'PostgresError';
  readonly fields: PostgresErrorFields;

  constructor(fields: PostgresErrorFields) {
    super(fields.message ?? 'Postgres gave no message');
    this.fields = fields;
  }

  /** SQLSTATE, or XX000 if the server sent none. */
  get code(): string {
    return this.fields.code ?? 'XX000';
  }

  /** The server ends the connection after this error. */
  get fatal(): boolean {
    const severity = this.fields.severityNonLocalized ?? this.fields.severity;
    return severity === 'FATAL' || severity === 'PANIC';
  }
}

/** The byte of each field. */
export const ERROR_FIELD_BYTES: Readonly<Record<Exclude<keyof PostgresErrorFields, 'unknown'>, string>> = {
  severity: 'S',
  severityNonLocalized: 'V',
  code: 'C',
  message: 'M',
  detail: 'D',
  hint: 'H',
  position: 'P',
  internalPosition: 'p',
  internalQuery: 'q',
  where: 'W',
  schema: 's',
  table: 't',
  column: 'c',
  dataType: 'd',
  constraint: 'n',
  file: 'F',
  line: 'L',
  routine: 'R',
};
