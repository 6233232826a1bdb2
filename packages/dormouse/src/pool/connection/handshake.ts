import { type Cancellation, type Deadline, DormouseError, type RandomBytes } from '../../base/index.ts';
import {
  Authentication,
  ByteWriter,
  decodeAuthentication,
  decodeBackendKeyData,
  decodeErrorResponse,
  decodeParameterStatus,
  decodeSaslMechanisms,
  encodePassword,
  encodeSaslInitialResponse,
  encodeSaslResponse,
  encodeStartup,
  FrameReader,
  Backend as Message,
  PostgresError,
  PROTOCOL_3_0,
  ProtocolError,
  SCRAM_NONCE_BYTES,
  SCRAM_SHA_256,
  ScramClient,
} from '../../wire/index.ts';
import type { ServerSocket } from './connect.ts';
import { ConnectionLost } from './connection-lost.ts';

/** Before the session no message is large; the server's own parameter reports are below 1 KiB. */
const HANDSHAKE_PAYLOAD_BYTES_MAX = 1 << 20;

/** The server starts, recovers, is being stopped, or has just crashed: none of it is about this session. */
const BETWEEN_LIVES = new Set(['57P01', '57P02', '57P03']);

/** Whether a session that could not be opened may be opened a moment later, once the server runs again. */
export function opensLater(error: unknown): boolean {
  return error instanceof ConnectionLost || (error instanceof PostgresError && BETWEEN_LIVES.has(error.code));
}

export interface HandshakeOptions {
  /** Startup parameters; `user` and `database` among them. */
  readonly parameters: ReadonlyMap<string, string>;
  /** For a server that asks; a private socket trusts. */
  readonly password?: string;
  readonly random: RandomBytes;
  readonly deadline: Deadline;
  /** Gives the start up when it fires. */
  readonly cancellation?: Cancellation;
  /** Takes the stream of a start that is given up, since the server may go on with it; without this it is destroyed. */
  readonly leave?: (processId: number | undefined) => void;
}

/**
 * A session that has just reached its first ReadyForQuery. The socket is paused, what came after is back in its buffer,
 * and it has no listeners of ours but one that keeps an unheard error from ending the process.
 */
export interface OpenedSession {
  readonly socket: ServerSocket;
  readonly processId: number;
  readonly secretKey: Buffer;
  /** ParameterStatus reports, in the server's order. */
  readonly parameters: ReadonlyMap<string, string>;
}

/**
 * Starts a session on a fresh stream (protocol section 54.2.1), version 3.0: what 3.2 adds is a longer cancel key,
 * which a private socket does not need. Fails with `PostgresError` (the server refused), {@link ConnectionLost},
 * `connection_timeout`, `interrupted`; then the socket is destroyed or left.
 */
export function openSession(socket: ServerSocket, options: HandshakeOptions): Promise<OpenedSession> {
  return new Promise((resolve, reject) => {
    const reader = new FrameReader({ payloadBytesMax: HANDSHAKE_PAYLOAD_BYTES_MAX });
    const writer = new ByteWriter();
    const parameters = new Map<string, string>();
    let processId: number | undefined;
    let secretKey: Buffer = Buffer.alloc(0);
    let scram: ScramClient | undefined;

    const detach = (): void => {
      timer?.cancel();
      uncancel?.();
      socket.off('data', onData);
      socket.off('error', onLost);
      socket.off('close', onClose);
    };
    const fail = (error: Error): void => {
      detach();
      // A server that has refused ends by itself.
      if (error instanceof PostgresError || options.leave === undefined) socket.destroy();
      else options.leave(processId);
      reject(error);
    };
    const onLost = (cause: Error): void => fail(new ConnectionLost(undefined, cause));
    const onClose = (): void => fail(new ConnectionLost(undefined, undefined));

    const authenticate = (payload: Buffer): void => {
      const { kind, data } = decodeAuthentication(payload);
      if (kind === Authentication.Ok) return;
      if (options.password === undefined) throw new ProtocolError('the server asks for a password');
      if (kind === Authentication.CleartextPassword) {
        encodePassword(writer, options.password);
      } else if (kind === Authentication.Sasl && decodeSaslMechanisms(data).includes(SCRAM_SHA_256)) {
        scram = new ScramClient(options.password, options.random(SCRAM_NONCE_BYTES));
        encodeSaslInitialResponse(writer, SCRAM_SHA_256, scram.first());
      } else if (kind === Authentication.SaslContinue && scram !== undefined) {
        encodeSaslResponse(writer, scram.proof(data.toString('utf8')));
      } else if (kind === Authentication.SaslFinal && scram !== undefined) {
        scram.finish(data.toString('utf8'));
      } else {
        throw new ProtocolError(`authentication request ${kind} is not known`);
      }
      if (writer.length > 0) socket.write(writer.take());
    };

    const onData = (chunk: Buffer): void => {
      try {
        reader.push(chunk);
        while (reader.next()) {
          switch (reader.type) {
            case Message.Authentication:
              authenticate(reader.payload);
              break;
            case Message.ParameterStatus: {
              const { name, value } = decodeParameterStatus(reader.payload);
              parameters.set(name, value);
              break;
            }
            case Message.BackendKeyData:
              ({ processId, secretKey } = decodeBackendKeyData(reader.payload));
              break;
            case Message.NoticeResponse:
              break;
            case Message.ErrorResponse:
              fail(decodeErrorResponse(reader.payload));
              return;
            case Message.ReadyForQuery:
              socket.pause();
              detach();
              if (reader.bufferedBytes > 0) socket.unshift(reader.takeRest());
              resolve({ socket, processId: processId ?? 0, secretKey, parameters });
              return;
            default:
              throw new ProtocolError(`message ${reader.type} during start-up`);
          }
        }
      } catch (error) {
        fail(error as Error);
      }
    };

    const timer =
      options.deadline.atMs === Number.POSITIVE_INFINITY
        ? undefined
        : options.deadline.clock.after(options.deadline.remainingMs(), () =>
            fail(new DormouseError('connection_timeout')),
          );
    socket.on('data', onData);
    // Stays: a socket may report an error when nobody waits for it any more.
    socket.on('error', () => {});
    socket.on('error', onLost);
    socket.on('close', onClose);
    let uncancel: (() => void) | undefined;
    if (options.cancellation?.cancelled === true) {
      fail(new DormouseError('interrupted'));
      return;
    }
    uncancel = options.cancellation?.onCancel(() => fail(new DormouseError('interrupted')));
    encodeStartup(writer, PROTOCOL_3_0, options.parameters);
    socket.write(writer.take());
  });
}
