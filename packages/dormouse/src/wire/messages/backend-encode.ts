import type { ByteWriter } from '../bytes/index.ts';
import { Authentication, BackendMessage } from './message-types.ts';
import { ERROR_FIELD_BYTES, type PostgresErrorFields } from './postgres-error.ts';

export function encodeAuthenticationOk(writer: ByteWriter): void {
  writer.open(BackendMessage.Authentication);
  writer.int32(Authentication.Ok);
  writer.close();
}

export function encodeAuthenticationSasl(writer: ByteWriter, mechanisms: readonly string[]): void {
  writer.open(BackendMessage.Authentication);
  writer.int32(Authentication.Sasl);
  for (const mechanism of mechanisms) writer.cstring(mechanism);
  writer.byte(0);
  writer.close();
}

export function encodeAuthenticationSaslContinue(writer: ByteWriter, data: string): void {
  writer.open(BackendMessage.Authentication);
  writer.int32(Authentication.SaslContinue);
  writer.text(data);
  writer.close();
}

export function encodeAuthenticationSaslFinal(writer: ByteWriter, data: string): void {
  writer.open(BackendMessage.Authentication);
  writer.int32(Authentication.SaslFinal);
  writer.text(data);
  writer.close();
}

export function encodeBackendKeyData(writer: ByteWriter, processId: number, secretKey: Uint8Array): void {
  writer.open(BackendMessage.BackendKeyData);
  writer.int32(processId);
  writer.bytes(secretKey);
  writer.close();
}

export function encodeParameterStatus(writer: ByteWriter, name: string, value: string): void {
  writer.open(BackendMessage.ParameterStatus);
  writer.cstring(name);
  writer.cstring(value);
  writer.close();
}

export function encodeReadyForQuery(writer: ByteWriter, status: 'I' | 'T' | 'E'): void {
  writer.open(BackendMessage.ReadyForQuery);
  writer.byte(status.charCodeAt(0));
  writer.close();
}

/** Tells a client that asks for a newer minor protocol, or for unknown `_pq_.` options, what the server supports. */
export function encodeNegotiateProtocolVersion(
  writer: ByteWriter,
  version: number,
  unknownOptions: readonly string[],
): void {
  writer.open(BackendMessage.NegotiateProtocolVersion);
  // The manual says that this is the minor version; the server and libpq both use the whole version, with the major in
  // the high half.
  writer.int32(version);
  writer.int32(unknownOptions.length);
  for (const option of unknownOptions) writer.cstring(option);
  writer.close();
}

function encodeFields(writer: ByteWriter, type: number, fields: PostgresErrorFields): void {
  writer.open(type);
  for (const name of Object.keys(ERROR_FIELD_BYTES) as (keyof typeof ERROR_FIELD_BYTES)[]) {
    const value = fields[name];
    if (value === undefined) continue;
    writer.byte(ERROR_FIELD_BYTES[name].charCodeAt(0));
    writer.cstring(value);
  }
  for (const [byte, value] of Object.entries(fields.unknown ?? {})) {
    writer.byte(byte.charCodeAt(0));
    writer.cstring(value);
  }
  writer.byte(0);
  writer.close();
}

export function encodeErrorResponse(writer: ByteWriter, fields: PostgresErrorFields): void {
  encodeFields(writer, BackendMessage.ErrorResponse, fields);
}

export function encodeNoticeResponse(writer: ByteWriter, fields: PostgresErrorFields): void {
  encodeFields(writer, BackendMessage.NoticeResponse, fields);
}
