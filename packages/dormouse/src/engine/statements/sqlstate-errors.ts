import { DriverAdapterError } from '@prisma/driver-adapter-utils';
import type { Role } from '../../base/index.ts';
import type { PostgresError, PostgresErrorFields } from '../../wire/index.ts';

type ErrorObject = DriverAdapterError['cause'];
type Constraint = { fields: string[] } | { index: string };

/**
 * Converts an error of Postgres to the kinds of errors from which Prisma's runtime makes P-codes. `role` is the role
 * of the API key, for the advice about a refused statement.
 */
export function toDriverAdapterError(error: PostgresError, role: Role): DriverAdapterError {
  const { fields } = error;
  const refused = refusesRole(error.code, fields);
  const said = fields.message ?? error.message;
  const message = refused ? withAdvice(said, role) : said;
  const cause = {
    ...classify(error.code, message, fields),
    originalCode: error.code,
    originalMessage: message,
  };
  if (refused) Object.defineProperty(cause, 'refusesRole', { value: true, enumerable: false });
  // Prisma 6 names the columns. They are not enumerable, because Prisma 7 shows all enumerable members of the cause.
  const columns = namedColumns(error.code, fields);
  if (columns !== undefined) Object.defineProperty(cause, 'columns', { value: columns, enumerable: false });
  const earlier = earlierForm(error.code, message, fields);
  if (earlier !== undefined) Object.defineProperty(cause, 'earlier', { value: earlier, enumerable: false });
  return new DriverAdapterError(cause);
}

/** The cause that the adapters of earlier versions of Prisma 7 made of an error. */
export interface EarlierForm {
  /** The minor version of Prisma 7 that first made another cause of the error. */
  readonly before: number;
  readonly cause: Readonly<Record<string, unknown>> & { readonly kind: string };
}

/** The earlier cause of an SQLSTATE, if there is one. Prisma 6 knows none of the kinds that Prisma 7 has added. */
function earlierForm(code: string, message: string, fields: PostgresErrorFields): EarlierForm | undefined {
  switch (code) {
    case '22P02':
      return { before: 2, cause: unknownState(code, message, fields) };
    case '23001':
    case '40P01':
      return { before: 10, cause: unknownState(code, message, fields) };
    case '23505': {
      const columns = /Key \(([^)]+)\)/.exec(fields.detail ?? '')?.[1]?.split(', ');
      const kind = 'UniqueConstraintViolation';
      return { before: 10, cause: columns === undefined ? { kind } : { kind, constraint: { fields: columns } } };
    }
    case '42703': {
      const column = message.split(' ').at(1)?.split('"').at(1);
      return { before: 6, cause: { kind: 'ColumnNotFound', ...(column === undefined ? {} : { column }) } };
    }
    default:
      return undefined;
  }
}

/** The functions of Postgres that report a missing privilege or ownership of the current role (aclchk.c). */
const ACCESS_CHECK = /^aclcheck_error/;

/**
 * Whether a statement was refused because the key's role lacks a privilege. Row level security, a RAISE in the
 * application's code and functions that run as another role give the same SQLSTATE, for reasons that another API key
 * would not change.
 */
function refusesRole(code: string, { routine, where }: PostgresErrorFields): boolean {
  return code === '42501' && routine !== undefined && ACCESS_CHECK.test(routine) && where === undefined;
}

function classify(code: string, message: string, fields: PostgresErrorFields): ErrorObject {
  switch (code) {
    case '22001':
      return optional({ kind: 'LengthMismatch' }, 'column', fields.column);
    case '22003':
      return { kind: 'ValueOutOfRange', cause: message };
    case '22P02':
      return { kind: 'InvalidInputValue', message };
    case '23502':
      return withConstraint('NullConstraintViolation', byFields(keyColumns(fields)));
    case '23503':
      return withConstraint('ForeignKeyConstraintViolation', byColumnOrName(fields));
    // ON DELETE/UPDATE RESTRICT has an SQLSTATE of its own since PostgreSQL 18.
    case '23001':
      return withConstraint('RestrictViolation', byColumnOrName(fields));
    case '23505':
      return optional(
        withConstraint(
          'UniqueConstraintViolation',
          fields.constraint === undefined ? byFields(keyColumns(fields)) : { index: fields.constraint },
        ),
        'table',
        fields.table,
      );
    case '28000':
      return optional({ kind: 'DatabaseAccessDenied' }, 'db', /database "([^"]+)"/.exec(message)?.[1]);
    case '28P01':
      return optional({ kind: 'AuthenticationFailed' }, 'user', /"([^"]+)"\s*$/.exec(message)?.[1]);
    case '3D000':
      return optional({ kind: 'DatabaseDoesNotExist' }, 'db', /"([^"]+)"/.exec(message)?.[1]);
    case '42P04':
      return optional({ kind: 'DatabaseAlreadyExists' }, 'db', /"([^"]+)"/.exec(message)?.[1]);
    case '40001':
    case '40P01':
      return { kind: 'TransactionWriteConflict' };
    case '42P01':
      return optional({ kind: 'TableDoesNotExist' }, 'table', /"([^"]+)"/.exec(message)?.[1]);
    case '42703':
      return optional({ kind: 'ColumnNotFound' }, 'column', missingColumn(message));
    case '53300':
      return { kind: 'TooManyConnections', cause: message };
    default:
      return unknownState(code, message, fields);
  }
}

/** The cause for an SQLSTATE without a kind of its own: the fields of Postgres' error. */
function unknownState(
  code: string,
  message: string,
  { severityNonLocalized, severity, detail, column, hint }: PostgresErrorFields,
): Extract<ErrorObject, { kind: 'postgres' }> {
  return {
    kind: 'postgres',
    code,
    severity: severityNonLocalized ?? severity ?? 'ERROR',
    message,
    detail,
    column,
    hint,
  };
}

function optional<K extends string>(error: object, name: K, value: string | undefined): ErrorObject {
  return (value === undefined ? error : { ...error, [name]: value }) as ErrorObject;
}

function withConstraint(kind: string, constraint: Constraint | undefined): ErrorObject {
  return (constraint === undefined ? { kind } : { kind, constraint }) as ErrorObject;
}

function byFields(columns: string[] | undefined): Constraint | undefined {
  return columns === undefined ? undefined : { fields: columns };
}

function byColumnOrName(fields: PostgresErrorFields): Constraint | undefined {
  if (fields.column !== undefined) return { fields: [fields.column] };
  return fields.constraint === undefined ? undefined : { index: fields.constraint };
}

/**
 * The columns of a violated key, from the detail `Key (a, b)=(1, 2) already exists.` Only the parentheses are read,
 * because the words depend on the session's language. Undefined if the session hides details.
 */
export function keyColumns(fields: PostgresErrorFields): string[] | undefined {
  const list = /\((.+?)\)=\(/s.exec(fields.detail ?? '')?.[1];
  return list?.split(', ').map(unquote);
}

function namedColumns(code: string, fields: PostgresErrorFields): string[] | undefined {
  switch (code) {
    case '23505':
      return keyColumns(fields);
    case '23502':
      return fields.column === undefined ? undefined : [fields.column];
    case '42703': {
      const column = writtenColumn(fields.message ?? '');
      return column === undefined ? undefined : [column];
    }
    default:
      return undefined;
  }
}

/** The name of a missing column in a statement that writes it. Prisma 7's adapter gives the table's name with it. */
function writtenColumn(message: string): string | undefined {
  return /^column "(.+)" of relation ".+" does not exist$/s.exec(message)?.[1];
}

function unquote(identifier: string): string {
  return /^".*"$/s.test(identifier) ? identifier.slice(1, -1).replaceAll('""', '"') : identifier;
}

function missingColumn(message: string): string | undefined {
  const name = /^column (.+) does not exist$/s.exec(message)?.[1];
  return name?.replace(/"((?:""|[^"])*)"/g, (_match, inner: string) => inner.replaceAll('""', '"'));
}

function withAdvice(message: string, role: Role): string {
  // The role owner lacks no privilege in its database: the session has taken another role, or the object is the
  // server's.
  if (role === 'owner') return message;
  const better = `${role === 'reader' ? 'writer, or ' : ''}owner for DDL`;
  return `${message}. The API key has the role ${role}: use a key whose role may do this (${better}).`;
}
