import type { Cancellation } from '../cancellation.ts';
import type { Role } from '../catalog.ts';
import type { Deadline } from '../deadline.ts';
import type { DatabaseId, KeyId, RequestId } from '../ids.ts';
import type { Timings } from '../timings.ts';
import type { QueryHeader } from './query-headers.ts';
import type { OriginRoute } from './routes.ts';

/**
 * Largest body, in bytes, that the main thread reads. To read, plan and bind a dense body of this size blocks the main
 * thread for up to 28 ms, one of twice the size for 57 ms. The engine reads larger bodies in threads, and the edge
 * looks at their beginning only.
 */
export const LARGE_BODY_BYTES: number = 64 * 1024;

/** An HTTP request reduced to what the stages need. Each door adapts its own kind of request to this interface. */
export interface MinimalRequest {
  /** Upper case. */
  readonly method: string;
  /** The path as sent, still percent-encoded, without the query string. */
  readonly path: string;
  /** The query string without `?`, or ''. */
  readonly search: string;
  /** A header by lower-case name. */
  header(name: string): string | undefined;
  /** The whole body. The door has limited its size. */
  readonly body: Uint8Array;
}

/** A request of an Accelerate protocol: its headers are those of the table in query-headers.ts. */
export interface QueryRequest extends Omit<MinimalRequest, 'header'> {
  readonly header: (name: QueryHeader) => string | undefined;
}

export interface MinimalReply {
  readonly status: number;
  /** Lower-case names. The edge adds `server-timing` and `cf-ray`. */
  readonly headers: Record<string, string>;
  readonly body: string | Uint8Array;
}

/** The authenticated sender of a request. */
export interface Principal {
  readonly keyId: KeyId;
  readonly databaseId: DatabaseId;
  readonly role: Role;
}

/** One authenticated request on its way through the platform. */
export interface Call {
  readonly requestId: RequestId;
  /** Read from the method and path once. */
  readonly route: OriginRoute;
  readonly principal: Principal;
  readonly timings: Timings;
  readonly deadline: Deadline;
  /** Fires when the client hangs up. */
  readonly cancellation: Cancellation;
}

/** What stands behind the edge: in Node the engine itself, in a Worker the network. Throws `DormouseError` only. */
export interface Origin {
  handle(request: QueryRequest, call: Call): Promise<MinimalReply>;
}
