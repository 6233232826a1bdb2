import type { IncomingMessage } from 'node:http';
import { type Clock, DormouseError } from '../../base/index.ts';

export interface BodyLimits {
  readonly bodyBytesMax: number;
  /** From the end of the headers to the end of the body. */
  readonly bodyMs: number;
}

const EMPTY = new Uint8Array(0);

/** What the request says of its body: undefined for a chunked one, 0 for none. */
export function declaredBytes(incoming: IncomingMessage): number | undefined {
  if (incoming.headers['transfer-encoding'] !== undefined) return undefined;
  const declared = incoming.headers['content-length'];
  return declared === undefined ? 0 : Number(declared);
}

/**
 * Collects a whole body, bounded in bytes and time; one chunk is given as it came, without a copy.
 * Rejects with `body_too_large` as soon as that is known, `body_timeout`, or `request_invalid` for a body that ends early.
 * The stream is paused then and the rest of it unread: the caller answers and closes.
 */
export function readBody(incoming: IncomingMessage, clock: Clock, limits: BodyLimits): Promise<Uint8Array> {
  const declared = declaredBytes(incoming);
  if (declared === 0) return Promise.resolve(EMPTY);
  if (declared !== undefined && declared > limits.bodyBytesMax) return Promise.reject(tooLarge(limits));
  return new Promise((resolve, reject) => {
    const chunks: Uint8Array[] = [];
    let bytes = 0;
    const settle = (): void => {
      timer.cancel();
      incoming.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
    };
    const fail = (error: DormouseError): void => {
      settle();
      incoming.pause();
      // A reset that comes later must not be an unhandled 'error'.
      incoming.on('error', () => {});
      reject(error);
    };
    const onData = (chunk: Uint8Array): void => {
      bytes += chunk.byteLength;
      if (bytes > limits.bodyBytesMax) fail(tooLarge(limits));
      else chunks.push(chunk);
    };
    const onEnd = (): void => {
      settle();
      resolve(chunks.length === 1 ? (chunks[0] ?? EMPTY) : Buffer.concat(chunks, bytes));
    };
    const onClose = (): void =>
      fail(new DormouseError('request_invalid', { message: 'The body ended before its length.' }));
    const timer = clock.after(limits.bodyMs, () => fail(new DormouseError('body_timeout')));
    incoming.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  });
}

function tooLarge(limits: BodyLimits): DormouseError {
  return new DormouseError('body_too_large', {
    message: `The request body is over the limit of ${limits.bodyBytesMax} bytes. Send less at once, or raise --body-max.`,
  });
}
