import type { RandomBytes } from '../base/index.ts';
import {
  Authentication,
  type ByteWriter,
  decodeAuthentication,
  decodeSaslMechanisms,
  encodePassword,
  encodeSaslInitialResponse,
  encodeSaslResponse,
  ProtocolError,
  SCRAM_NONCE_BYTES,
  SCRAM_SHA_256,
  ScramClient,
} from '../wire/index.ts';

/** A password for a server that asks for one; a server behind a private socket asks for none. */
export interface PasswordLogin {
  readonly password: string;
  readonly random: RandomBytes;
}

/** The client's answers to the authentication requests of one start-up. */
export class LoginExchange {
  readonly #login: PasswordLogin | undefined;
  #scram: ScramClient | undefined;

  constructor(login: PasswordLogin | undefined) {
    this.#login = login;
  }

  /**
   * Writes the answer to one authentication request, if the request needs one. Throws `ProtocolError` for a request
   * that cannot be answered, and `ScramError` for a server that does not know the password.
   */
  answer(payload: Uint8Array, writer: ByteWriter): void {
    const { kind, data } = decodeAuthentication(payload);
    if (kind === Authentication.Ok) return;
    if (this.#login === undefined) throw new ProtocolError(`the server asks for a password (${kind})`);
    const { password, random } = this.#login;
    if (kind === Authentication.CleartextPassword) {
      encodePassword(writer, password);
    } else if (kind === Authentication.Sasl && decodeSaslMechanisms(data).includes(SCRAM_SHA_256)) {
      this.#scram = new ScramClient(password, random(SCRAM_NONCE_BYTES));
      encodeSaslInitialResponse(writer, SCRAM_SHA_256, this.#scram.first());
    } else if (kind === Authentication.SaslContinue && this.#scram !== undefined) {
      encodeSaslResponse(writer, this.#scram.proof(data.toString('utf8')));
    } else if (kind === Authentication.SaslFinal && this.#scram !== undefined) {
      this.#scram.finish(data.toString('utf8'));
    } else {
      throw new ProtocolError(`authentication request ${kind} is not known`);
    }
  }
}
