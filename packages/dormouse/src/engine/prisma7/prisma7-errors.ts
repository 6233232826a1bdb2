import { DataMapperError, UserFacingError } from '@prisma/client-engine-runtime';
import { DriverAdapterError, isDriverAdapterError } from '@prisma/driver-adapter-utils';
import type { PrismaRuntime } from '../prisma-runtime/index.ts';
import type { EarlierForm } from '../statements/index.ts';

/** The minor version of Prisma 7 that gave a code to states without a kind (P2039). */
const UNKNOWN_STATES_HAVE_A_CODE = 9;
/** The minor version of Prisma 7 that gave a code to values that do not fit their field (P2023). */
const UNFIT_VALUES_HAVE_A_CODE = 2;

/** What an executor of its time told only by its words, with the status 500: the client shows it as P6000. */
export class WithoutCode extends Error {
  override readonly name = 'WithoutCode';
}

/**
 * An error as the executor of the client's own version says it. `minor` is that of Prisma 7. What is not of the
 * database, and what is the same in all versions, stays as it is.
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
  // A raw query has one code, whatever Postgres says.
  if (error.code === 'P2010') return new UserFacingError(error.message, error.code, { driverAdapterError: before });
  const raised = await runtime.raise(before).catch((thrown: unknown) => thrown);
  return raised instanceof UserFacingError ? coded(raised, before, minor) : error;
}

function coded(error: UserFacingError, { message }: DriverAdapterError, minor: number): UserFacingError | WithoutCode {
  return error.code === 'P2039' && minor < UNKNOWN_STATES_HAVE_A_CODE ? new WithoutCode(message) : error;
}
