import { type ConnectionOptions, findConnection } from './connection.ts';

/**
 * The fetch for `withAccelerate({ fetch })`. The extension's `$accelerate.invalidate()` sends its request, API key
 * included, to the vendor's host unless the URL's host is exactly `localhost` or `127.0.0.1`; this fetch sends it to
 * your own host. Every other request passes unchanged.
 */
export function dormouseFetch(options: ConnectionOptions & { readonly fetch?: typeof fetch } = {}): typeof fetch {
  const send = options.fetch ?? globalThis.fetch;
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : input);
    if (url.pathname !== '/invalidate') return send(input, init);
    // Throws if your own host is not known: no invalidation is better than a key sent to another host.
    const own = new URL('/invalidate', findConnection(options).origin);
    if (url.origin === own.origin) return send(input, init);
    return send(input instanceof Request ? new Request(own, input) : own, init);
  };
}
