import { DriverAdapterError, isDriverAdapterError } from '@prisma/driver-adapter-utils';

/** A value in a form that cannot be read without guessing. `what` names type and form, and says what to do. */
export function unreadable(what: string): DriverAdapterError {
  return new DriverAdapterError({ kind: 'InconsistentColumnData', cause: what });
}

/** The same of a column; any other error as it is. */
export function inColumn(error: unknown, column: string): unknown {
  if (!isDriverAdapterError(error) || error.cause.kind !== 'InconsistentColumnData') return error;
  return unreadable(`column ${JSON.stringify(column)}: ${error.cause.cause}`);
}

/** A value in a message: no more of it than tells its form. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/** A text that is not UTF-8: its statement asked for another encoding. */
export function otherEncoding(): DriverAdapterError {
  return unreadable('a text is not in UTF-8. Leave client_encoding at UTF8');
}
