import { UserFacingError } from '@prisma/client-engine-runtime';
import { AssertionError, DormouseError } from '../../base/index.ts';

/**
 * Converts an error of an execution. A `UserFacingError` has a code that the client sees (P2002 …). A `DormouseError`
 * is answered by the HTTP door. `whenSenseless` is the code for a plain error of the runtime, which the runtime
 * throws for plans and queries that make no sense.
 */
export function clientError(
  error: unknown,
  whenSenseless: 'plan_invalid' | 'query_invalid' | 'internal',
): UserFacingError | DormouseError {
  if (error instanceof UserFacingError) return refusedByRole(error) ?? withSetting(error);
  if (error instanceof DormouseError) return error;
  if (error instanceof AssertionError || whenSenseless === 'internal') {
    return new DormouseError('internal', { cause: error });
  }
  const reason = error instanceof Error ? error.message.slice(0, 500) : 'unknown reason';
  return new DormouseError(whenSenseless, { message: `The query cannot be executed: ${reason}`, cause: error });
}

/**
 * The access error (P1010) for a statement that was refused because of the API key's role; the runtime gives an
 * unknown database error. Raw queries keep P2010.
 */
function refusedByRole(error: UserFacingError): UserFacingError | undefined {
  if (error.code !== 'P2039') return undefined;
  const adapterError = error.meta?.driverAdapterError as
    | { cause?: { originalMessage: string; refusesRole?: boolean } }
    | undefined;
  if (adapterError?.cause?.refusesRole !== true) return undefined;
  return new UserFacingError(adapterError.cause.originalMessage, 'P1010', error.meta);
}

/** The runtime's error for bytes within JSON that are not in hex. */
const NOT_HEX = /^Expected a hex-encoded byte array in column /;

/** Adds the name of the setting that caused a text which the runtime cannot read. */
function withSetting(error: UserFacingError): UserFacingError {
  if (!NOT_HEX.test(error.message)) return error;
  return new UserFacingError(`${error.message}. Leave bytea_output at hex`, error.code, error.meta);
}
