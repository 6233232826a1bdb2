import { DormouseError, toDormouseError } from '../../base/index.ts';
import { ByteWriter, encodeErrorResponse, PostgresError, ProtocolError } from '../../wire/index.ts';

/**
 * Writes any failure as the last ErrorResponse of a connection: Dormouse's own errors with the SQLSTATE of the error
 * table, Postgres' own with all fields.
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
    // A zero byte would end the message early. No message of Dormouse has one, but it may quote what the client sent.
    message: error.publicMessage.replaceAll('\0', ''),
  });
  return writer.take();
}
