import { DormouseError } from '../../base/index.ts';
import {
  BackendMessage,
  decodeCommandComplete,
  decodeErrorResponse,
  decodeRowDescription,
  type FieldDescription,
  type PostgresError,
} from '../../wire/index.ts';
import { NO_FIELDS, type PendingStatement } from './pending-statement.ts';
import type { PreparedStatements } from './prepared-statements.ts';

/** What a message demands of the connection, beyond what it added to the statement's result. */
export type Demand =
  | undefined
  /** There are too many rows: the connection stops the statement. */
  | DormouseError
  /** The server ends the session. */
  | PostgresError
  /** The server waits for data (COPY FROM STDIN), which a pool does not have. */
  | 'copy-in';

/** Adds one message of the server, other than ReadyForQuery, to the result of the statement that it answers. */
export function readMessage(
  type: number,
  payload: Buffer,
  oversize: boolean,
  pending: PendingStatement,
  prepared: PreparedStatements,
): Demand {
  switch (type) {
    case BackendMessage.DataRow:
      pending.touched = true;
      pending.budget.left -= payload.length;
      if (pending.stopped !== undefined || pending.budget.left < 0 || oversize) {
        pending.rows = [];
        pending.cut = true;
        return pending.stopped === undefined ? new DormouseError('reply_too_large') : undefined;
      }
      if (pending.part === 'main') pending.rows.push(payload);
      return undefined;
    case BackendMessage.BindComplete:
      pending.touched = true;
      if (pending.part === 'main') pending.bound = true;
      return undefined;
    case BackendMessage.ParseComplete:
    case BackendMessage.CloseComplete:
      pending.touched = true;
      return undefined;
    case BackendMessage.EmptyQueryResponse:
      pending.touched = true;
      pending.part = 'main';
      return undefined;
    case BackendMessage.RowDescription:
      described(pending, prepared, decodeRowDescription(payload));
      return undefined;
    case BackendMessage.NoData:
      described(pending, prepared, NO_FIELDS);
      return undefined;
    case BackendMessage.CommandComplete:
      pending.touched = true;
      if (pending.part === 'before') {
        prepared.ranBefore(pending);
        pending.part = 'main';
      } else {
        pending.tag = decodeCommandComplete(payload);
        pending.ran++;
        prepared.ran(pending);
      }
      return undefined;
    case BackendMessage.ErrorResponse: {
      const error = decodeErrorResponse(payload);
      if (error.fatal) return error;
      pending.touched = true;
      pending.error ??= error;
      return undefined;
    }
    case BackendMessage.CopyInResponse:
      return 'copy-in';
    default:
      // Notices, notifications and copied-out data are not part of a pooled result.
      return undefined;
  }
}

function described(pending: PendingStatement, prepared: PreparedStatements, fields: readonly FieldDescription[]): void {
  pending.touched = true;
  if (pending.parameters === undefined) pending.clearResult();
  pending.fields = fields;
  prepared.described(pending, fields);
}
