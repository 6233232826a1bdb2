import type { EngineHeader, Principal, QueryRoute } from '../../base/index.ts';
import type { DateFormat, ParameterValue } from '../../pool/index.ts';
import type { FieldDescription } from '../../wire/index.ts';
import type { CompilerModule, SchemaFacts } from '../compiler/index.ts';
import type { EngineLimits } from '../engine.ts';
import type { ExecutionCounts } from '../program/index.ts';
import type { PackedError } from './packed-errors.ts';

/** The data that a thread for requests with large bodies starts with. */
export interface LargeBodyThreadData {
  readonly compiler: CompilerModule;
  readonly limits: EngineLimits;
  /** Whether programs are built; if not, Prisma's runtime runs every plan. */
  readonly programs: boolean;
}

/** A request as it goes to a thread. Its body is transferred, not copied. */
export interface LargeBodyRequest {
  readonly route: QueryRoute;
  readonly headers: { readonly [Name in EngineHeader]?: string };
  readonly body: Uint8Array;
  readonly requestId: string;
  readonly principal: Principal;
  /**
   * Time left until the call's deadline. The deadline itself means nothing to a thread, whose monotonic clock differs.
   */
  readonly remainingMs: number;
}

/** One statement that a thread asks the main thread to run on the connection of a session. */
export interface StatementAsk {
  readonly kind: 'execute';
  readonly session: number;
  readonly sql: string;
  readonly parameters: readonly ParameterValue[];
  readonly pipelined: boolean;
  readonly simple: boolean;
  readonly before: string | undefined;
}

/**
 * What a thread asks of the main thread. A session is a connection, or the request's turn in an interactive
 * transaction.
 */
export type Ask =
  | { readonly kind: 'schema' }
  | { readonly kind: 'acquire'; readonly session: number }
  | { readonly kind: 'enter'; readonly session: number }
  /** The turn is over, with an error or without. Answered once the transaction has taken note of that. */
  | { readonly kind: 'leave'; readonly session: number; readonly error: PackedError | undefined }
  | StatementAsk;

export interface SchemaAnswer {
  readonly text: string;
  readonly facts: SchemaFacts;
}

/** The result of a statement without its rows, which were sent before it. */
export interface StatementAnswer {
  readonly fields: readonly FieldDescription[];
  readonly commandTag: string;
  readonly affectedRows: number;
  readonly dates: DateFormat | undefined;
}

export type Outcome =
  | { readonly reply: { readonly status: number; readonly headers: Record<string, string>; readonly body: Uint8Array } }
  | { readonly error: PackedError };

export type ToThread =
  | { readonly to: 'begin'; readonly job: number; readonly request: LargeBodyRequest }
  /** The client does not wait for the reply any more. */
  | { readonly to: 'cancel'; readonly job: number }
  /** Some of the rows of the statement that was asked for as `id`. */
  | { readonly to: 'rows'; readonly job: number; readonly id: number; readonly rows: Uint8Array }
  | {
      readonly to: 'answer';
      readonly job: number;
      readonly id: number;
      readonly answer: { readonly value: unknown } | { readonly error: PackedError };
      /** The transaction status of the session's connection after the answer. */
      readonly status: 'I' | 'T' | 'E';
    };

export type FromThread =
  /** The thread has begun to work on the request. */
  | { readonly from: 'begun'; readonly job: number }
  | { readonly from: 'operation'; readonly job: number }
  | { readonly from: 'ask'; readonly job: number; readonly id: number; readonly ask: Ask }
  | { readonly from: 'release'; readonly job: number; readonly session: number }
  | {
      readonly from: 'done';
      readonly job: number;
      readonly outcome: Outcome;
      readonly compileMs: number | undefined;
      readonly sqlMs: number | undefined;
      /** How the thread has executed plans since it last told. */
      readonly executions: ExecutionCounts;
      /** Bytes of WebAssembly memory that the thread holds. */
      readonly memoryBytes: number;
      /** The thread's compiler has panicked: the thread takes no new requests. */
      readonly broken: boolean;
    };

/**
 * The same bytes in an ArrayBuffer of their own, so that it can be transferred: copied only if they share their buffer.
 */
export function transferable(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return bytes.buffer instanceof ArrayBuffer && bytes.byteLength === bytes.buffer.byteLength
    ? new Uint8Array(bytes.buffer)
    : new Uint8Array(bytes);
}
