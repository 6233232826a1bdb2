import { DataMapperError, UserFacingError } from '@prisma/client-engine-runtime';
import { DriverAdapterError, isDriverAdapterError } from '@prisma/driver-adapter-utils';
import type { PrismaRuntime } from '../prisma-runtime/index.ts';
import type { EarlierForm } from '../statements/index.ts';

/** The first minor version of Prisma 7 that gives a code (P2039) to SQLSTATEs without a kind. */
const UNKNOWN_STATES_HAVE_A_CODE = 9;
/** The first minor version of Prisma 7 that gives a code (P2023) to values that do not fit their field. */
const UNFIT_VALUES_HAVE_A_CODE = 2;

/** An error that earlier executors told by its message alone, with the status 500. The client shows it as P6000. */
export class WithoutCode extends Error {
  override readonly name = 'WithoutCode';
}

/**
 * An error as the executor of the client's own version tells it. `minor` is the minor version of Prisma 7. An error
 * that does not come from the database, or that is the same in all versions, stays as it is.
 */
export async function errorOfVersion(
  error: UserFacingError,
  minor: number,
  runtime: Pick<PrismaRuntime, 'raise'>,
): Promise<UserFacingError | WithoutCode> {
  if (error instanceof DataMapperError) {
    return minor < UNFIT_VALUES_HAVE_A_CODE ? new WithoutCode(error.message) : error;
  }
  const adapterError = error.meta?.driverAdapterError;
  if (adapterError === undefined || !isDriverAdapterError(adapterError)) return error;
  const { cause } = adapterError;
  const { earlier } = cause as { earlier?: EarlierForm };
  if (earlier === undefined || minor >= earlier.before) return coded(error, adapterError, minor);
  const { originalCode, originalMessage } = cause;
  const before = new DriverAdapterError({ ...earlier.cause, originalCode, originalMessage } as typeof cause);
  // An error of a raw query has the same code whatever Postgres raised.
  if (error.code === 'P2010') return new UserFacingError(error.message, error.code, { driverAdapterError: before });
  const raised = await runtime.raise(before).catch((thrown: unknown) => thrown);
  return raised instanceof UserFacingError ? coded(raised, before, minor) : error;
}

function coded(error: UserFacingError, { message }: DriverAdapterError, minor: number): UserFacingError | WithoutCode {
  return error.code === 'P2039' && minor < UNKNOWN_STATES_HAVE_A_CODE ? new WithoutCode(message) : error;
}
