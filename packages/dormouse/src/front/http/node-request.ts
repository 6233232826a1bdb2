import type { IncomingMessage } from 'node:http';
import { DormouseError, type MinimalRequest } from '../../base/index.ts';

/**
 * The request's target from its path on. Proxies send the absolute form, which a server must take (RFC 9112, section
 * 3.2.2).
 */
export function targetOf(incoming: IncomingMessage): string {
  const url = incoming.url ?? '/';
  if (url.charCodeAt(0) === SLASH) return url;
  const absolute = ABSOLUTE.exec(url);
  if (!absolute) return url;
  const rest = url.slice(absolute[0].length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

const ABSOLUTE = /^https?:\/\/([^/?#]*)/i;
/** A name, an IPv4 or an IPv6 address, and a port (RFC 3986, section 3.2). Empty is a host too. */
const HOST = /^(?:[\w.~!$&'()*+,;=%-]*|\[[\da-f:.]+\])(?::\d*)?$/i;

/**
 * Brings a request's address to one form: the target from its path on, the host in `headers.host`. A host in the
 * target replaces the Host header (RFC 9112, section 3.2.2). Returns an error if the address is invalid: HTTP/1.1
 * requires exactly one Host header.
 */
export function settleAddress(incoming: IncomingMessage): DormouseError | undefined {
  const { rawHeaders, headers, url = '' } = incoming;
  const { host } = headers;
  if (host === undefined) {
    return incoming.httpVersionMinor === 0 && incoming.httpVersionMajor === 1
      ? undefined
      : invalid('An HTTP/1.1 request has a Host header; this one has none.');
  }
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] as string;
    if (name.length === 4 && name.toLowerCase() === 'host') hosts++;
  }
  if (hosts > 1) return invalid('A request has one Host header; this one has several.');
  if (!HOST.test(host)) return invalid('The Host header is no host.');
  const authority = url.charCodeAt(0) === SLASH ? undefined : ABSOLUTE.exec(url)?.[1];
  if (authority !== undefined && (authority === '' || !HOST.test(authority)))
    return invalid('The address of the request has no host.');
  if (authority !== undefined) {
    headers.host = authority;
    incoming.url = targetOf(incoming);
  }
  return undefined;
}

function invalid(message: string): DormouseError {
  return new DormouseError('request_invalid', { message });
}

/** Whether a request asks for an upgrade to WebSocket. */
export function asksWebSocket({ headers }: IncomingMessage): boolean {
  return headers.upgrade !== undefined && /(?:^|,)\s*websocket\s*(?:,|$)/i.test(headers.upgrade);
}

const SLASH = 0x2f;
const NO_BODY = new Uint8Array(0);

/** Presents a Node request as a minimal request. The headers are read from Node's object, not copied. */
export class NodeRequest implements MinimalRequest {
  readonly method: string;
  readonly path: string;
  readonly search: string;
  readonly body: Uint8Array;
  readonly #incoming: IncomingMessage;

  constructor(incoming: IncomingMessage, body: Uint8Array = NO_BODY) {
    const url = targetOf(incoming);
    const question = url.indexOf('?');
    this.method = incoming.method ?? 'GET';
    this.path = question < 0 ? url : url.slice(0, question);
    this.search = question < 0 ? '' : url.slice(question + 1);
    this.body = body;
    this.#incoming = incoming;
  }

  header(name: string): string | undefined {
    const value = this.#incoming.headers[name];
    return typeof value === 'object' ? value.join(', ') : value;
  }
}
