import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Cancellation, MinimalReply, MinimalRequest } from '../../base/index.ts';

/** Answers a request whose body the door has collected. May throw `DormouseError`. */
export type ReplyHandler = (
  request: MinimalRequest,
  cancellation: Cancellation,
) => MinimalReply | Promise<MinimalReply>;

/** Takes the request over with its body unread, for replies that go on (events). Answers its own errors. */
export type StreamHandler = (incoming: IncomingMessage, outgoing: ServerResponse) => void;

/** Takes the socket over after an `Upgrade` request. */
export type UpgradeHandler = (incoming: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** A part of the address space, and the handler that serves it. */
export type Mount =
  | { readonly path: string; readonly reply: ReplyHandler }
  | { readonly path: string; readonly stream: StreamHandler };

/**
 * The mount whose path is `path` or a parent of it; the longest wins. A mount path that ends in a slash matches itself
 * only. `mounts` must come from {@link sortMounts}.
 */
export function findMount(mounts: readonly Mount[], path: string): Mount | undefined {
  for (const mount of mounts) {
    if (path === mount.path) return mount;
    if (
      path.length > mount.path.length &&
      path.startsWith(mount.path) &&
      path.charCodeAt(mount.path.length) === SLASH
    ) {
      return mount;
    }
  }
  return undefined;
}

const SLASH = 0x2f;

/** Longest path first. */
export function sortMounts(mounts: readonly Mount[]): readonly Mount[] {
  return [...mounts].sort((a, b) => b.path.length - a.path.length);
}
