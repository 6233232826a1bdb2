import type { Clock } from '../base/index.ts';
import { ByteWriter, encodeCancelRequest } from '../wire/index.ts';
import type { ServerSocket } from './server-socket.ts';

/**
 * A server answers a cancel request within a millisecond, by closing the stream. A longer silence means that it does
 * not serve.
 */
const CANCEL_MS = 5_000;

/** The session that a cancel request names. */
export interface CancelTarget {
  readonly processId: number;
  readonly secretKey: Uint8Array;
}

/**
 * Sends a cancel request on a stream of its own and resolves when the server has closed that stream. The server closes
 * it after it has sent the signal, so a statement that is sent afterwards cannot be cancelled by mistake. Never
 * rejects: a cancel request is best effort. Without a clock, the stream may stay open for as long as the server leaves
 * it open.
 */
export function sendCancelRequest(open: () => ServerSocket, target: CancelTarget, clock?: Clock): Promise<void> {
  return new Promise((resolve) => {
    const socket = open();
    socket.unref?.();
    const timer = clock?.after(CANCEL_MS, () => socket.destroy());
    socket.on('error', () => {});
    socket.on('close', () => {
      timer?.cancel();
      resolve();
    });
    // The end of a stream is only seen by a reader.
    socket.resume();
    const writer = new ByteWriter();
    encodeCancelRequest(writer, target.processId, target.secretKey);
    socket.write(writer.take());
  });
}
