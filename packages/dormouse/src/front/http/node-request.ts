import type { IncomingMessage } from 'node:http';
import type { MinimalRequest } from '../../base/index.ts';

/** The request's target from its path on. Proxies send the absolute form, which a server must take (RFC 9112, section 3.2.2). */
export function targetOf(incoming: IncomingMessage): string {
  const url = incoming.url ?? '/';
  if (url.charCodeAt(0) === SLASH) return url;
  const authority = /^https?:\/\/[^/?#]*/i.exec(url);
  if (!authority) return url;
  const rest = url.slice(authority[0].length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}

const SLASH = 0x2f;
const NO_BODY = new Uint8Array(0);

/** A Node request as the minimal one; headers stay where Node parsed them. */
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
