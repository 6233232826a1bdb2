import { ByteReader, ProtocolError } from '../bytes/index.ts';

/** SASLInitialResponse; the response is empty if the client sent none. */
export function decodeSaslInitialResponse(payload: Uint8Array): {
  readonly mechanism: string;
  readonly response: string;
} {
  const reader = new ByteReader(payload);
  const mechanism = reader.cstring();
  const length = reader.int32();
  if (length < -1) throw new ProtocolError(`negative length ${length}`);
  const response = length === -1 ? '' : reader.bytes(length).toString('utf8');
  reader.end();
  return { mechanism, response };
}

/** SASLResponse: the whole payload is the mechanism's data. */
export function decodeSaslResponse(payload: Uint8Array): string {
  return new ByteReader(payload).rest().toString('utf8');
}

export function decodePassword(payload: Uint8Array): string {
  const reader = new ByteReader(payload);
  const password = reader.cstring();
  reader.end();
  return password;
}

/** The text of a Query message. */
export function decodeQuery(payload: Uint8Array): string {
  const reader = new ByteReader(payload);
  const sql = reader.cstring();
  reader.end();
  return sql;
}
