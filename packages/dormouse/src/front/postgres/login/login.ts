import type { Socket } from 'node:net';
import { type Catalog, DormouseError, type KeyRecord, parseKeyId, type RandomBytes } from '../../../base/index.ts';
import {
  ByteWriter,
  decodeSaslInitialResponse,
  decodeSaslResponse,
  decodeStartup,
  encodeAuthenticationOk,
  encodeAuthenticationSasl,
  encodeAuthenticationSaslContinue,
  encodeAuthenticationSaslFinal,
  encodeNegotiateProtocolVersion,
  FrontendMessage,
  PROTOCOL_3_2,
  ProtocolError,
  SCRAM_NONCE_BYTES,
  SCRAM_SHA_256,
  ScramError,
  ScramServer,
} from '../../../wire/index.ts';
import type { LoginStream } from './login-stream.ts';
import { protocolOptions } from './startup-parameters.ts';
import type { Verifiers } from './verifiers.ts';

/** SSLRequest and GSSENCRequest may each come once before the startup message. */
const NEGOTIATIONS_MAX = 2;
const REFUSED = Buffer.from('N');

/** What a new connection asks for: a cancel, or a session. */
export type Login =
  | { readonly kind: 'cancel'; readonly processId: number; readonly secretKey: Buffer }
  | {
      readonly kind: 'session';
      readonly key: KeyRecord;
      /** The protocol version of the session: what the client asked for, 3.2 at most. */
      readonly version: number;
      readonly parameters: ReadonlyMap<string, string>;
    };

export interface LoginOptions {
  readonly catalog: Catalog;
  readonly verifiers: Verifiers;
  readonly random: RandomBytes;
}

/**
 * Takes a connection up to AuthenticationOk. Encryption is refused with 'N': TLS ends in front of Dormouse. Fails with
 * `key_missing`, `key_invalid`, `key_revoked`, `version_unsupported`, `ProtocolError`, `HungUp`.
 */
export async function login(socket: Socket, stream: LoginStream, options: LoginOptions): Promise<Login> {
  for (let negotiations = 0; ; negotiations++) {
    const request = decodeStartup(await stream.startup());
    if (request.kind === 'cancel') return request;
    if (request.kind === 'unsupported') {
      throw new DormouseError('version_unsupported', {
        message: `Version ${request.version} of the protocol is not spoken here; 3.0 to 3.2 are. Use a newer client.`,
      });
    }
    if (request.kind === 'startup') {
      const key = await authenticate(socket, stream, request.version, request.parameters, options);
      return {
        kind: 'session',
        key,
        version: Math.min(request.version, PROTOCOL_3_2),
        parameters: request.parameters,
      };
    }
    if (negotiations === NEGOTIATIONS_MAX) throw new ProtocolError('encryption was refused already');
    socket.write(REFUSED);
  }
}

async function authenticate(
  socket: Socket,
  stream: LoginStream,
  version: number,
  parameters: ReadonlyMap<string, string>,
  options: LoginOptions,
): Promise<KeyRecord> {
  const user = parameters.get('user') ?? '';
  // Refused before anything is asked of the client, as Postgres does.
  if (user === '') {
    throw new DormouseError('key_missing', {
      message: 'The startup packet names no user. Use the postgres:// URL that `dormouse db show NAME` prints.',
    });
  }
  const writer = new ByteWriter();
  const unknownOptions = protocolOptions(parameters);
  if (version > PROTOCOL_3_2 || unknownOptions.length > 0) {
    encodeNegotiateProtocolVersion(writer, Math.min(version, PROTOCOL_3_2), unknownOptions);
  }
  encodeAuthenticationSasl(writer, [SCRAM_SHA_256]);
  socket.write(writer.take());

  const scram = new ScramServer(options.verifiers.of(user), options.random(SCRAM_NONCE_BYTES));
  let final: string;
  try {
    const initial = decodeSaslInitialResponse(await stream.frame(FrontendMessage.Password));
    if (initial.mechanism !== SCRAM_SHA_256) throw new ProtocolError('the SASL mechanism was not offered');
    encodeAuthenticationSaslContinue(writer, scram.challenge(initial.response));
    socket.write(writer.take());
    final = scram.verify(decodeSaslResponse(await stream.frame(FrontendMessage.Password)));
  } catch (error) {
    if (!(error instanceof ScramError)) throw error;
    throw new DormouseError('key_invalid', {
      message: 'The user or the password is wrong. Use the postgres:// URL that `dormouse db show NAME` prints.',
      cause: error,
    });
  }
  const keyId = parseKeyId(user);
  const key = keyId === undefined ? undefined : options.catalog.key(keyId);
  if (key === undefined) throw new DormouseError('key_invalid');
  // Only a client that has proven the password learns that the key is revoked.
  if (key.revoked) throw new DormouseError('key_revoked');
  encodeAuthenticationSaslFinal(writer, final);
  encodeAuthenticationOk(writer);
  socket.write(writer.take());
  return key;
}
