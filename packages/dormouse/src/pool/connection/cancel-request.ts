import type { Clock } from '../../base/index.ts';
import { ByteWriter, encodeCancelRequest } from '../../wire/index.ts';
import type { ServerSocket } from './connect.ts';

/** A server answers a cancel by closing within a millisecond; longer means that it does not serve. */
const CANCEL_MS = 5_000;

/**
 * Sends a CancelRequest on a stream of its own and resolves when the server has closed it, which it does after the
 * signal was sent: what is sent to the cancelled backend afterwards cannot be hit by it. Never rejects: a cancel is
 * best effort.
 */
export function sendCancelRequest(
  open: () => ServerSocket,
  processId: number,
  secretKey: Uint8Array,
  clock: Clock,
): Promise<void> {
  return new Promise((resolve) => {
    const socket = open();
    socket.unref?.();
    const timer = clock.after(CANCEL_MS, () => socket.destroy());
    socket.on('error', () => {});
    socket.on('close', () => {
      timer.cancel();
      resolve();
    });
    // Reading is what lets the end of the stream be seen.
    socket.resume();
    const writer = new ByteWriter();
    encodeCancelRequest(writer, processId, secretKey);
    socket.write(writer.take());
  });
}
