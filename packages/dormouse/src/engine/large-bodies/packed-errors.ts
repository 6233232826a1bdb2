import { UserFacingError } from '@prisma/client-engine-runtime';
import { DriverAdapterError, isDriverAdapterError } from '@prisma/driver-adapter-utils';
import { DormouseError, type ErrorCode } from '../../base/index.ts';
import { PostgresError, type PostgresErrorFields } from '../../wire/index.ts';

/**
 * An error as it goes from thread to thread. A structured clone of the error itself would lose its class and members.
 */
export type PackedError =
  | {
      readonly kind: 'dormouse';
      readonly code: ErrorCode;
      readonly message: string;
      readonly meta: Meta;
      readonly cause?: string;
    }
  | { readonly kind: 'postgres'; readonly fields: PostgresErrorFields }
  /** `hidden` are the members that are not enumerable, which a structured clone leaves out. */
  | { readonly kind: 'adapter'; readonly cause: AdapterCause; readonly hidden: Readonly<Record<string, unknown>> }
  | { readonly kind: 'user'; readonly code: string; readonly message: string; readonly meta: Meta }
  | { readonly kind: 'other'; readonly message: string; readonly stack: string | undefined };

type AdapterCause = ConstructorParameters<typeof DriverAdapterError>[0];
type Meta = Readonly<Record<string, unknown>> | undefined;

export function packError(error: unknown): PackedError {
  if (error instanceof DormouseError) {
    const { code, message, meta, cause } = error;
    return { kind: 'dormouse', code, message, meta, ...(cause === undefined ? {} : { cause: textOf(cause) }) };
  }
  if (error instanceof PostgresError) return { kind: 'postgres', fields: error.fields };
  if (isDriverAdapterError(error)) return { kind: 'adapter', cause: error.cause, hidden: hiddenOf(error.cause) };
  if (error instanceof UserFacingError) {
    return { kind: 'user', code: error.code, message: error.message, meta: error.meta };
  }
  return { kind: 'other', message: textOf(error), stack: error instanceof Error ? error.stack : undefined };
}

export function unpackError(packed: PackedError): Error {
  switch (packed.kind) {
    case 'dormouse': {
      const { code, message, meta, cause } = packed;
      return new DormouseError(code, {
        message,
        ...(meta === undefined ? {} : { meta }),
        ...(cause === undefined ? {} : { cause: new Error(cause) }),
      });
    }
    case 'postgres':
      return new PostgresError(packed.fields);
    case 'adapter':
      return new DriverAdapterError(withHidden(packed.cause, packed.hidden));
    case 'user':
      return new UserFacingError(packed.message, packed.code, packed.meta);
    case 'other': {
      const error = new Error(packed.message);
      if (packed.stack !== undefined) error.stack = packed.stack;
      return error;
    }
  }
}

function textOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

function hiddenOf(cause: AdapterCause): Record<string, unknown> {
  const hidden: Record<string, unknown> = {};
  for (const [name, { enumerable, value }] of Object.entries(Object.getOwnPropertyDescriptors(cause))) {
    if (enumerable !== true) hidden[name] = value;
  }
  return hidden;
}

function withHidden(cause: AdapterCause, hidden: Readonly<Record<string, unknown>>): AdapterCause {
  for (const [name, value] of Object.entries(hidden)) {
    Object.defineProperty(cause, name, { value, enumerable: false });
  }
  return cause;
}
