import { ByteReader, ProtocolError } from '../bytes/index.ts';
import { ERROR_FIELD_BYTES, PostgresError, type PostgresErrorFields } from './postgres-error.ts';

/** One column of a result (RowDescription). */
export interface FieldDescription {
  readonly name: string;
  /** OID of the table that the column comes from, or 0. */
  readonly tableOid: number;
  /** Attribute number in that table, or 0. */
  readonly columnNumber: number;
  readonly typeOid: number;
  /** Bytes of the type (pg_type.typlen), negative for variable width. */
  readonly typeSize: number;
  readonly typeModifier: number;
  /** 0 text, 1 binary. */
  readonly format: number;
}

export function decodeRowDescription(payload: Uint8Array): FieldDescription[] {
  const reader = new ByteReader(payload);
  const count = reader.int16();
  const fields: FieldDescription[] = [];
  for (let i = 0; i < count; i++) {
    fields.push({
      name: reader.cstring(),
      tableOid: reader.uint32(),
      columnNumber: reader.int16(),
      typeOid: reader.uint32(),
      typeSize: reader.int16(),
      typeModifier: reader.int32(),
      format: reader.int16(),
    });
  }
  reader.end();
  return fields;
}

/**
 * The values of one DataRow, as views; null for NULL. For callers off the hot path; the engine reads the payloads
 * itself.
 */
export function decodeDataRow(payload: Uint8Array): (Buffer | null)[] {
  const reader = new ByteReader(payload);
  const count = reader.int16();
  const values: (Buffer | null)[] = [];
  for (let i = 0; i < count; i++) {
    const length = reader.int32();
    values.push(length === -1 ? null : reader.bytes(length));
  }
  reader.end();
  return values;
}

/** The type OIDs of a statement's parameters. */
export function decodeParameterDescription(payload: Uint8Array): number[] {
  const reader = new ByteReader(payload);
  // Unsigned: a statement takes up to 65535 parameters.
  const count = reader.int16() & 0xffff;
  const types: number[] = [];
  for (let i = 0; i < count; i++) types.push(reader.uint32());
  reader.end();
  return types;
}

const FIELD_NAMES = new Map(
  Object.entries(ERROR_FIELD_BYTES).map(([name, byte]) => [byte.charCodeAt(0), name] as const),
);

/** The fields of an ErrorResponse or NoticeResponse. */
export function decodeErrorFields(payload: Uint8Array): PostgresErrorFields {
  const reader = new ByteReader(payload);
  const fields: Record<string, string> = {};
  let unknown: Record<string, string> | undefined;
  for (;;) {
    const byte = reader.byte();
    if (byte === 0) break;
    const value = reader.cstring();
    const name = FIELD_NAMES.get(byte);
    if (name !== undefined) {
      fields[name] = value;
    } else {
      unknown ??= {};
      unknown[String.fromCharCode(byte)] = value;
    }
  }
  reader.end();
  return unknown === undefined ? fields : { ...fields, unknown };
}

export function decodeErrorResponse(payload: Uint8Array): PostgresError {
  return new PostgresError(decodeErrorFields(payload));
}

/** CommandComplete's tag, such as `INSERT 0 1`. */
export function decodeCommandComplete(payload: Uint8Array): string {
  const reader = new ByteReader(payload);
  const tag = reader.cstring();
  reader.end();
  return tag;
}

/** The row count at the end of a command tag, or 0 if the tag has none (`BEGIN`). */
export function affectedRowsOf(tag: string): number {
  let value = 0;
  let scale = 1;
  for (let i = tag.length - 1; i >= 0; i--) {
    const digit = tag.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return tag.charCodeAt(i) === 32 ? value : 0;
    value += digit * scale;
    scale *= 10;
  }
  return 0;
}

export function decodeParameterStatus(payload: Uint8Array): { readonly name: string; readonly value: string } {
  const reader = new ByteReader(payload);
  const name = reader.cstring();
  const value = reader.cstring();
  reader.end();
  return { name, value };
}

/**
 * The process id and the key that a CancelRequest needs. The key has 4 bytes in protocol 3.0 and up to 256 in 3.2. It
 * is copied, since it outlives the chunk.
 */
export function decodeBackendKeyData(payload: Uint8Array): { readonly processId: number; readonly secretKey: Buffer } {
  const reader = new ByteReader(payload);
  const processId = reader.int32();
  const secretKey = Buffer.from(reader.rest());
  if (secretKey.length < 4 || secretKey.length > 256) throw new ProtocolError('cancel key length');
  return { processId, secretKey };
}

export type TransactionStatus = 'I' | 'T' | 'E';

export function decodeReadyForQuery(payload: Uint8Array): TransactionStatus {
  const byte = payload.length === 1 ? payload[0] : undefined;
  if (byte === 0x49) return 'I';
  if (byte === 0x54) return 'T';
  if (byte === 0x45) return 'E';
  throw new ProtocolError('unknown transaction status');
}

export interface Notification {
  readonly processId: number;
  readonly channel: string;
  readonly payload: string;
}

export function decodeNotification(payload: Uint8Array): Notification {
  const reader = new ByteReader(payload);
  const processId = reader.int32();
  const channel = reader.cstring();
  const text = reader.cstring();
  reader.end();
  return { processId, channel, payload: text };
}

/** The kind of an AuthenticationRequest (see `Authentication`) and the data behind it. */
export function decodeAuthentication(payload: Uint8Array): { readonly kind: number; readonly data: Buffer } {
  const reader = new ByteReader(payload);
  return { kind: reader.int32(), data: reader.rest() };
}

/** The names of the mechanisms of an AuthenticationSASL. */
export function decodeSaslMechanisms(data: Uint8Array): string[] {
  const reader = new ByteReader(data);
  const mechanisms: string[] = [];
  for (;;) {
    const name = reader.cstring();
    if (name === '') break;
    mechanisms.push(name);
  }
  reader.end();
  return mechanisms;
}

export function decodeNegotiateProtocolVersion(payload: Uint8Array): {
  readonly version: number;
  readonly unknownOptions: string[];
} {
  const reader = new ByteReader(payload);
  const version = reader.int32();
  const count = reader.int32();
  if (count < 0 || count > reader.remaining) throw new ProtocolError('option count');
  const unknownOptions: string[] = [];
  for (let i = 0; i < count; i++) unknownOptions.push(reader.cstring());
  reader.end();
  return { version, unknownOptions };
}
