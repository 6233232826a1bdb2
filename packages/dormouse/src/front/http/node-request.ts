import type { IncomingMessage } from 'node:http';
import type { MinimalRequest } from '../../base/index.ts';

const NO_BODY = new Uint8Array(0);

/** A Node request as the minimal one; headers stay where Node parsed them. */
export class NodeRequest implements MinimalRequest {
  readonly method: string;
  readonly path: string;
  readonly search: string;
  readonly body: Uint8Array;
  readonly #incoming: IncomingMessage;

  constructor(incoming: IncomingMessage, body: Uint8Array = NO_BODY) {
    const url = incoming.url ?? '/';
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
