import type { ByteWriter } from '../bytes/index.ts';
import { ByteReader, ProtocolError } from '../bytes/index.ts';

export const PROTOCOL_3_0 = 0x0003_0000;
export const PROTOCOL_3_2 = 0x0003_0002;
const CANCEL_REQUEST = 80_877_102;
const SSL_REQUEST = 80_877_103;
const GSSENC_REQUEST = 80_877_104;
/** The longest startup message that PostgreSQL takes (MAX_STARTUP_PACKET_LENGTH). */
export const STARTUP_BYTES_MAX = 10_000;
/** The longest cancel key of protocol 3.2. */
export const CANCEL_KEY_BYTES_MAX = 256;

/** The first message of a connection, which has no type byte. */
export type StartupRequest =
  | { readonly kind: 'ssl' }
  | { readonly kind: 'gssenc' }
  | { readonly kind: 'cancel'; readonly processId: number; readonly secretKey: Buffer }
  /** A protocol version that is not supported; nothing more of the message can be read. */
  | { readonly kind: 'unsupported'; readonly version: string }
  | {
      readonly kind: 'startup';
      /** The protocol version: major in the high half, minor in the low half. */
      readonly version: number;
      readonly parameters: ReadonlyMap<string, string>;
    };

/**
 * The length of the first message once its first four bytes are there, else undefined. Throws {@link ProtocolError} for
 * a length that no startup message has.
 */
export function startupLength(bytes: Buffer): number | undefined {
  if (bytes.length < 4) return undefined;
  const length = bytes.readInt32BE(0);
  if (length < 8 || length > STARTUP_BYTES_MAX) {
    throw new ProtocolError(`a startup message has 8 to ${STARTUP_BYTES_MAX} bytes, this one would have ${length}`);
  }
  return length;
}

/** Decodes a whole first message, which begins with its length. */
export function decodeStartup(message: Uint8Array): StartupRequest {
  const reader = new ByteReader(message);
  if (reader.int32() !== message.length) throw new ProtocolError('startup message length is wrong');
  const code = reader.int32();
  if (code === SSL_REQUEST || code === GSSENC_REQUEST) {
    reader.end();
    return { kind: code === SSL_REQUEST ? 'ssl' : 'gssenc' };
  }
  if (code === CANCEL_REQUEST) {
    const processId = reader.int32();
    const secretKey = reader.rest();
    if (secretKey.length < 4 || secretKey.length > CANCEL_KEY_BYTES_MAX) {
      throw new ProtocolError(
        `the key of a cancel request has 4 to ${CANCEL_KEY_BYTES_MAX} bytes, this one has ${secretKey.length}`,
      );
    }
    return { kind: 'cancel', processId, secretKey };
  }
  if (code >>> 16 !== 3) return { kind: 'unsupported', version: `${code >>> 16}.${code & 0xffff}` };
  const parameters = new Map<string, string>();
  for (;;) {
    const name = reader.cstring();
    if (name === '') break;
    parameters.set(name, reader.cstring());
  }
  reader.end();
  return { kind: 'startup', version: code, parameters };
}

export function encodeSslRequest(writer: ByteWriter): void {
  writer.openUntyped();
  writer.int32(SSL_REQUEST);
  writer.close();
}

export function encodeGssencRequest(writer: ByteWriter): void {
  writer.openUntyped();
  writer.int32(GSSENC_REQUEST);
  writer.close();
}

export function encodeCancelRequest(writer: ByteWriter, processId: number, secretKey: Uint8Array): void {
  writer.openUntyped();
  writer.int32(CANCEL_REQUEST);
  writer.int32(processId);
  writer.bytes(secretKey);
  writer.close();
}

/** StartupMessage of the given protocol version; `user` must be among the parameters. */
export function encodeStartup(
  writer: ByteWriter,
  version: number,
  parameters: Iterable<readonly [string, string]>,
): void {
  writer.openUntyped();
  writer.int32(version);
  for (const [name, value] of parameters) {
    if (name === '') throw new RangeError('a startup parameter needs a name');
    writer.cstring(name);
    writer.cstring(value);
  }
  writer.byte(0);
  writer.close();
}
