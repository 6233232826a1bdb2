import { execFile } from 'node:child_process';
import { closeSync, constants, openSync, readSync } from 'node:fs';
import { Socket } from 'node:net';
import { promisify } from 'node:util';

const run = promisify(execFile);

/**
 * A FIFO whose write end every process of a server inherits. While one of them lives, frozen or not, a read would
 * block; once the last has ended, by whatever cause and with whatever parent, a read gives end-of-file. This holds
 * across pid namespaces and after the platform that started the server is gone.
 */
export async function makeLifeline(path: string): Promise<void> {
  await run('mkfifo', ['-m', '600', path]);
}

function openRead(path: string): number {
  return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
}

function hasWriter(fd: number): boolean {
  try {
    // No process writes into a lifeline, so 0 bytes mean that there is no writer.
    return readSync(fd, Buffer.alloc(1)) > 0;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EAGAIN') return true;
    throw error;
  }
}

/** True if any process that inherited the lifeline is alive. */
export function lifelineHeld(path: string): boolean {
  const fd = openRead(path);
  try {
    return hasWriter(fd);
  } finally {
    closeSync(fd);
  }
}

/** Watches a lifeline; `gone` settles once no process holds it any more. */
export interface LifelineWatch {
  readonly gone: Promise<void>;
  readonly ended: boolean;
  close(): void;
}

/** Both ends of an open lifeline. The write end is there to be inherited; `closeWrite` right after the spawn. */
export interface LifelineEnds {
  readonly writeFd: number;
  closeWrite(): void;
  /** Starts watching; call after the spawn. */
  watch(): LifelineWatch;
}

/** Opens both ends. The read end first: opening only the write end would block. */
export function openLifeline(path: string): LifelineEnds {
  const readFd = openRead(path);
  let writeFd: number;
  try {
    writeFd = openSync(path, constants.O_WRONLY);
  } catch (error) {
    closeSync(readFd);
    throw error;
  }
  let open = true;
  return {
    writeFd,
    closeWrite() {
      if (open) closeSync(writeFd);
      open = false;
    },
    watch: () => watchFd(readFd),
  };
}

/** Watches the lifeline of a server that was started already. */
export function watchLifeline(path: string): LifelineWatch {
  return watchFd(openRead(path));
}

function watchFd(fd: number): LifelineWatch {
  // epoll on the FIFO: no thread waits in read(2).
  const socket = new Socket({ fd, readable: true, writable: false });
  let ended = false;
  let closed = false;
  const gone = new Promise<void>((resolve) => {
    const end = (): void => {
      if (!closed) ended = true;
      socket.destroy();
      if (ended) resolve();
    };
    socket.on('end', end);
    socket.on('error', end);
  });
  socket.resume();
  socket.unref();
  return {
    gone,
    get ended() {
      return ended;
    },
    close() {
      closed = true;
      socket.destroy();
    },
  };
}
