import type { UserFacingError } from '@prisma/client-engine-runtime';
import type { QueryRefused } from '../compiler/index.ts';

/** An error inside of a reply, as a Prisma 6 client reads it. */
export interface Prisma6Error {
  readonly error: string;
  readonly user_facing_error: {
    readonly is_panic: false;
    readonly message: string;
    readonly meta?: Record<string, unknown>;
    /** Absent if the error has no code. */
    readonly error_code?: string;
    /** The position of the query in its batch. */
    batch_request_idx?: number;
  };
}

/** An error of the runtime or the compiler with the message and the `meta` of Prisma 6. */
export function prisma6Error(error: UserFacingError | QueryRefused, modelName: string | undefined): Prisma6Error {
  const { message, meta, withoutCode } = translate(error);
  return {
    error: message,
    user_facing_error: {
      is_panic: false,
      message,
      meta: { ...(modelName === undefined ? {} : { modelName }), ...meta },
      ...(error.code === undefined || withoutCode ? {} : { error_code: error.code }),
    },
  };
}

interface Translation {
  readonly message: string;
  readonly meta: Record<string, unknown>;
  /** Prisma 6 gives no code to an error that it does not know. */
  readonly withoutCode?: true;
}

/** The cause in the adapter's error, as the runtime keeps it. */
interface AdapterCause {
  readonly kind: string;
  readonly constraint?: { readonly fields?: readonly string[]; readonly index?: string };
  readonly columns?: readonly string[];
  readonly table?: string;
  readonly column?: string;
  readonly originalCode?: string;
  readonly originalMessage?: string;
  readonly severity?: string;
  readonly detail?: string | undefined;
  readonly hint?: string | undefined;
  readonly db?: string;
  readonly user?: string;
  /** The cause that earlier adapters gave. */
  readonly earlier?: { readonly cause: AdapterCause };
}

const UNKNOWN = '(not available)';

function translate(error: UserFacingError | QueryRefused): Translation {
  const given = (error.meta ?? {}) as Record<string, unknown>;
  const cause = (given.driverAdapterError as { cause?: AdapterCause } | undefined)?.cause;
  switch (error.code) {
    case 'P2002':
      return cause === undefined ? { message: error.message, meta: given } : uniqueViolation(cause);
    case 'P2003':
      return cause === undefined ? { message: error.message, meta: given } : foreignKeyViolation(cause, error.message);
    case 'P2023':
      return given.providedIsolationLevel === undefined
        ? { message: error.message, meta: given }
        : { message: error.message, meta: { message: error.message.replace('Inconsistent column data: ', '') } };
    case 'P2028':
      return transactionFailure(error.message);
    case 'P2025':
      return { message: error.message, meta: { cause: missingRecord(error.message) } };
    case 'P2010':
      return rawFailure(cause, error.message);
    case 'P2011':
      return nullViolation(cause, error.message);
    case 'P2000':
      return { message: error.message, meta: { column_name: cause?.column ?? UNKNOWN } };
    case 'P2021':
      return { message: error.message, meta: { table: cause?.table } };
    case 'P2022': {
      const column = cause?.columns?.[0] ?? cause?.column;
      return {
        message: `The column \`${column ?? UNKNOWN}\` does not exist in the current database.`,
        meta: { column },
      };
    }
    case 'P2020':
      return { message: error.message, meta: { details: cause?.originalMessage } };
    case 'P2037':
      return { message: error.message, meta: { message: cause?.originalMessage } };
    case 'P2039':
      return cause === undefined ? { message: error.message, meta: given } : unknownFailure(cause);
    case 'P1000':
      return { message: error.message, meta: { database_user: cause?.user ?? UNKNOWN } };
    case 'P1003':
      return {
        message: `Database \`${cause?.db ?? UNKNOWN}\` does not exist`,
        meta: { database_name: cause?.db ?? UNKNOWN },
      };
    case 'P1009':
    case 'P1010':
      return { message: error.message, meta: { database_name: cause?.db ?? UNKNOWN } };
    default: {
      const { driverAdapterError: _internal, ...meta } = given;
      return { message: error.message, meta };
    }
  }
}

const TRANSACTION_API = 'Transaction API error: ';

/** Prisma 6 calls every transaction that has ended closed, and repeats the error in `meta`. */
function transactionFailure(message: string): Translation {
  const said = message.startsWith(TRANSACTION_API) ? message.slice(TRANSACTION_API.length) : message;
  const error = / on an expired transaction\. /.test(said) ? `Transaction already closed: ${said}` : said;
  return { message: TRANSACTION_API + error, meta: { error } };
}

function uniqueViolation(cause: AdapterCause): Translation {
  const columns = cause.columns ?? cause.constraint?.fields;
  if (columns === undefined) {
    const target = cause.constraint?.index;
    if (target === undefined) return { message: `Unique constraint failed on the ${UNKNOWN}`, meta: { target: null } };
    return { message: `Unique constraint failed on the constraint: \`${target}\``, meta: { target } };
  }
  return {
    message: `Unique constraint failed on the ${fieldList(columns)}`,
    meta: { target: columns },
  };
}

function nullViolation(cause: AdapterCause | undefined, message: string): Translation {
  const columns = cause?.columns ?? cause?.constraint?.fields;
  return columns === undefined
    ? { message, meta: { constraint: cause?.constraint?.index ?? null } }
    : { message: `Null constraint violation on the ${fieldList(columns)}`, meta: { constraint: columns } };
}

/** Columns as Prisma 6 lists them. Prisma 6 calls them fields. */
function fieldList(columns: readonly string[]): string {
  return `fields: (${columns.map((name) => `\`${name}\``).join(',')})`;
}

function foreignKeyViolation(cause: AdapterCause, message: string): Translation {
  const { fields, index } = cause.constraint ?? {};
  if (fields === undefined && index === undefined) return { message, meta: { constraint: null } };
  const name = index === undefined ? (fields ?? []).join(', ') : `${index} (index)`;
  return { message, meta: { field_name: name, constraint: index ?? fields } };
}

/**
 * An error of a raw query. The engine of Prisma 6 repeated an error that it did not know as Postgres writes it:
 * severity first, detail and hint below.
 */
function rawFailure(cause: AdapterCause | undefined, given: string): Translation {
  const { originalCode, originalMessage = '' } = cause ?? {};
  // A kind that Prisma 7 has added is an error that Prisma 6 did not know.
  const said = [cause, cause?.earlier?.cause].find((each) => each?.kind === 'postgres');
  if (said === undefined) {
    // An error that Postgres did not raise, such as a column of a type that Prisma does not know, has no SQLSTATE.
    const inner = /Message: `(.*)`$/s.exec(given)?.[1];
    return { message: given, meta: { code: originalCode ?? 'N/A', message: cause?.originalMessage ?? inner } };
  }
  const { severity, detail, hint } = said;
  const message =
    `${severity}: ${originalMessage}` +
    (detail === undefined ? '' : `\nDETAIL: ${detail}`) +
    (hint === undefined ? '' : `\nHINT: ${hint}`);
  return {
    message: `Raw query failed. Code: \`${originalCode}\`. Message: \`${message}\``,
    meta: { code: originalCode, message },
  };
}

/** An error without a code. Applications of Prisma 6 look for the SQLSTATE in this text, as in `code: "23514"`. */
function unknownFailure({ originalCode, originalMessage, severity, detail, column, hint }: AdapterCause): Translation {
  const optional = (text: string | undefined): string =>
    text === undefined ? 'None' : `Some(${JSON.stringify(text)})`;
  const error =
    `PostgresError { code: ${JSON.stringify(originalCode)}, message: ${JSON.stringify(originalMessage)}, ` +
    `severity: ${JSON.stringify(severity)}, detail: ${optional(detail)}, column: ${optional(column)}, hint: ${optional(hint)} }`;
  return {
    message:
      'Error occurred during query execution:\n' +
      `ConnectorError(ConnectorError { user_facing_error: None, kind: QueryError(${error}), transient: false })`,
    meta: {},
    withoutCode: true,
  };
}

/** The details of a missing record, without the general sentence: Prisma 6 has them in `meta.cause`. */
function missingRecord(message: string): string {
  const general = 'required but not found. ';
  const at = message.indexOf(general);
  return at < 0 ? message : message.slice(at + general.length);
}
