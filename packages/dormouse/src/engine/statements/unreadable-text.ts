import { DriverAdapterError, isDriverAdapterError } from '@prisma/driver-adapter-utils';

/**
 * The error (P2023) for a value that cannot be read without guessing. `what` names the value's type and form, and says
 * what to do.
 */
export function unreadable(what: string): DriverAdapterError {
  return new DriverAdapterError({ kind: 'InconsistentColumnData', cause: what });
}

/** Adds a column's name to an `unreadable` error. Returns any other error unchanged. */
export function inColumn(error: unknown, column: string): unknown {
  if (!isDriverAdapterError(error) || error.cause.kind !== 'InconsistentColumnData') return error;
  return unreadable(`column ${JSON.stringify(column)}: ${error.cause.cause}`);
}

/** A value for an error message, cut to the length that shows its form. */
export function quoted(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}…` : text);
}

/** The error for a text that is not UTF-8, because a statement changed client_encoding. */
export function otherEncoding(): DriverAdapterError {
  return unreadable('a text is not in UTF-8. Leave client_encoding at UTF8');
}
