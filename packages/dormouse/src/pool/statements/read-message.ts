import { DormouseError } from '../../base/index.ts';
import {
  decodeCommandComplete,
  decodeErrorResponse,
  decodeRowDescription,
  type FieldDescription,
  Backend as Message,
  type PostgresError,
} from '../../wire/index.ts';
import { NO_FIELDS, type Request } from './pending-statement.ts';
import type { PreparedStatements } from './prepared-statements.ts';

/** What a message asks of the connection, beyond what it added to the request's result. */
export type Upshot =
  | undefined
  /** Too many rows: stop it. */
  | DormouseError
  /** The server goes. */
  | PostgresError
  /** It waits for data that a pool has not. */
  | 'copy-in';

/** Adds one message of the server's, other than ReadyForQuery, to the result of the request that it answers. */
export function readMessage(
  type: number,
  payload: Buffer,
  oversize: boolean,
  request: Request,
  prepared: PreparedStatements,
): Upshot {
  switch (type) {
    case Message.DataRow:
      request.touched = true;
      request.budget.left -= payload.length;
      if (request.stopped !== undefined || request.budget.left < 0 || oversize) {
        request.rows = [];
        request.cut = true;
        return request.stopped === undefined ? new DormouseError('reply_too_large') : undefined;
      }
      if (request.part === 'main') request.rows.push(payload);
      return undefined;
    case Message.BindComplete:
      request.touched = true;
      if (request.part === 'main') request.bound = true;
      return undefined;
    case Message.ParseComplete:
    case Message.CloseComplete:
      request.touched = true;
      return undefined;
    case Message.EmptyQueryResponse:
      request.touched = true;
      request.part = 'main';
      return undefined;
    case Message.RowDescription:
      described(request, prepared, decodeRowDescription(payload));
      return undefined;
    case Message.NoData:
      described(request, prepared, NO_FIELDS);
      return undefined;
    case Message.CommandComplete:
      request.touched = true;
      if (request.part === 'before') {
        prepared.ranBefore(request);
        request.part = 'main';
      } else {
        request.tag = decodeCommandComplete(payload);
        request.ran++;
        prepared.ran(request);
      }
      return undefined;
    case Message.ErrorResponse: {
      const error = decodeErrorResponse(payload);
      if (error.fatal) return error;
      request.touched = true;
      request.error ??= error;
      return undefined;
    }
    case Message.CopyInResponse:
      return 'copy-in';
    default:
      // Notices, parameter reports, notifications, copied-out data: not part of a pooled result.
      return undefined;
  }
}

function described(request: Request, prepared: PreparedStatements, fields: readonly FieldDescription[]): void {
  request.touched = true;
  if (request.parameters === undefined) request.clearResult();
  request.fields = fields;
  prepared.described(request, fields);
}
