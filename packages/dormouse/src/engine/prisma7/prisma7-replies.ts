import { UserFacingError } from '@prisma/client-engine-runtime';
import { DormouseError, type MinimalReply } from '../../base/index.ts';
import { CONNECTION_INFO, clientError, type PrismaRuntime } from '../prisma-runtime/index.ts';
import { jsonReply, prisma7MinorOf, type RequestContent, type Telemetry } from '../request/index.ts';
import { errorOfVersion } from './prisma7-errors.ts';

/** The reply to `/connection-info`, from which the client learns what its compiler must know of the database. */
export function connectionInfoReply(): MinimalReply {
  return jsonReply(200, { provider: 'postgres', connectionInfo: CONNECTION_INFO });
}

/** The members of a reply that carry the telemetry which its client asked for. */
export function telemetryMembers(telemetry: Telemetry | undefined, request: RequestContent): object {
  if (telemetry === undefined) return {};
  const extensions = telemetry.extensions();
  // Clients before 7.2 look for the spans under another name.
  const hasTraces = prisma7MinorOf(request) < 2 && 'spans' in extensions;
  return { extensions: hasTraces ? { ...extensions, traces: extensions.spans } : extensions };
}

/**
 * The reply to an operation that threw, as the client's own version expects it. Throws what is an error of the whole
 * request.
 */
export async function failureReply(
  thrown: unknown,
  request: RequestContent,
  telemetry: Telemetry | undefined,
  runtime: PrismaRuntime,
): Promise<MinimalReply> {
  const error = clientError(thrown, 'plan_invalid');
  if (error instanceof DormouseError) throw error;
  const told = await errorOfVersion(error, prisma7MinorOf(request), runtime);
  const members = telemetryMembers(telemetry, request);
  // The client shows an error without a code as P6000, with its message.
  if (!(told instanceof UserFacingError)) return jsonReply(500, { error: told.message, ...members });
  const { code, message, meta } = told;
  // P2028 is a conflict, as with the vendor's executor; all others are 400.
  const reply = jsonReply(code === 'P2028' ? 409 : 400, { code, error: message, message, meta, ...members });
  reply.headers['prisma-error-code'] = code;
  return reply;
}
