import type { MinimalRequest } from '../../base/index.ts';

/** What the engine's routes read of a request, once its route is known. */
export type RequestContent = Pick<MinimalRequest, 'header' | 'body'>;
