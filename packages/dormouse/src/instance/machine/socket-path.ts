import { closeSync, constants, openSync } from 'node:fs';
import { join } from 'node:path';
import { DormouseError } from '../../base/index.ts';

/** sun_path has 108 bytes on Linux and 104 on macOS, including the final zero; a longer path is cut off silently. */
export const SOCKET_PATH_BYTES_MAX: number = process.platform === 'linux' ? 107 : 103;

/** Makes paths below one directory short enough for a Unix socket. */
export interface SocketPaths {
  /** A path to `parts` below the directory, for this process and others of its account. */
  path(...parts: string[]): string;
  close(): void;
}

/** `directory` must exist. `path` fails with `data_unusable` where a path is too long and cannot be shortened. */
export function socketPaths(directory: string): SocketPaths {
  let fd: number | undefined;
  return {
    path(...parts) {
      const plain = join(directory, ...parts);
      if (Buffer.byteLength(plain) <= SOCKET_PATH_BYTES_MAX) return plain;
      if (process.platform !== 'linux') {
        throw new DormouseError('data_unusable', {
          message: `The path of the data directory is too long for Unix sockets: ${plain} has over ${SOCKET_PATH_BYTES_MAX} bytes. Choose a shorter one with --data.`,
        });
      }
      // Through an open descriptor of this process the path is short, wherever it leads.
      fd ??= openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
      return join(`/proc/${process.pid}/fd/${fd}`, ...parts);
    },
    close() {
      if (fd !== undefined) closeSync(fd);
      fd = undefined;
    },
  };
}
