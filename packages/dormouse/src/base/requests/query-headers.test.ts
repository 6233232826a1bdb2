import { describe, expect, it } from 'vitest';
import type { QueryRequest } from './http.ts';
import { ENGINE_HEADERS, type EngineHeader, REPLY_HEADERS } from './query-headers.ts';

const none = { method: 'POST', path: '/query', search: '', header: () => undefined, body: new Uint8Array() };
const queryRequest: QueryRequest = none;
const engineHeader: (name: EngineHeader) => string | undefined = none.header;

describe('the table of headers', () => {
  it('code that reads a header which is not in the table does not compile', () => {
    // @ts-expect-error: no header of the table.
    expect(queryRequest.header('x-forgotten')).toBeUndefined();
    // @ts-expect-error: no header of the table.
    expect(engineHeader('x-forgotten')).toBeUndefined();
    // @ts-expect-error: the edge alone reads it; it is not handed to the threads of the engine.
    expect(engineHeader('cache-control')).toBeUndefined();
  });

  it('the engine gets every header that a reply may depend on', () => {
    expect(REPLY_HEADERS).toContain('x-max-response-size');
    expect(ENGINE_HEADERS).toEqual(expect.arrayContaining([...REPLY_HEADERS]));
    expect(ENGINE_HEADERS).not.toContain('authorization');
  });
});
