import { DormouseError, toDormouseError } from '../../base/index.ts';
import { ByteWriter, encodeErrorResponse, PostgresError, ProtocolError } from '../../wire/index.ts';

/**
 * Any failure as the last ErrorResponse of a connection: ours by the table's SQLSTATE, Postgres' own with all fields.
 */
export function encodeRefusal(thrown: unknown): Buffer {
  const writer = new ByteWriter();
  if (thrown instanceof PostgresError) {
    encodeErrorResponse(writer, { ...thrown.fields, severity: 'FATAL', severityNonLocalized: 'FATAL' });
    return writer.take();
  }
  const error =
    thrown instanceof ProtocolError
      ? new DormouseError('request_invalid', { message: `The client broke the protocol: ${thrown.message}.` })
      : toDormouseError(thrown);
  encodeErrorResponse(writer, {
    severity: 'FATAL',
    severityNonLocalized: 'FATAL',
    code: error.row.sqlstate,
    // A zero byte would end the message early; none of ours has one, an echo of the client's might.
    message: error.publicMessage.replaceAll('\0', ''),
  });
  return writer.take();
}
