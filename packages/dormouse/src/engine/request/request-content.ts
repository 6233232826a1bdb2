import type { EngineHeader } from '../../base/index.ts';

/** What the engine reads of a request. The edge has read the request's method and path: the call holds its route. */
export interface RequestContent {
  readonly header: (name: EngineHeader) => string | undefined;
  readonly body: Uint8Array;
}
