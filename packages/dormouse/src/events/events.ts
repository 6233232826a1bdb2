import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import {
  type Clock,
  type DatabaseId,
  DormouseError,
  type Logger,
  newRequestId,
  type Principal,
  type RandomBytes,
} from '../base/index.ts';
import { connectSocket } from '../session/index.ts';
import type { Connect } from './capture/index.ts';
import { DatabaseEvents, type EventsOfDatabaseOptions } from './database-events.ts';
import { PulseDoor, StreamsDoor } from './delivery/index.ts';
import { DEFAULT_LOG_LIMITS, EventLogs, type LogLimits } from './log/index.ts';

export interface EventsOptions {
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly logger: Logger;
  /** The part of `cf-ray` after the dash. */
  readonly region?: string;
  /** By default the operating system's sockets. */
  readonly connect?: Connect;
  readonly limits?: Partial<EventsLimits>;
}

export interface EventsLimits extends LogLimits {
  /** Live readers per database, of both protocols together. */
  readonly subscribersMax: number;
  readonly longPollMs: number;
  readonly sseMs: number;
  readonly recheckMs: number;
}

export const DEFAULT_EVENTS_LIMITS: EventsLimits = {
  ...DEFAULT_LOG_LIMITS,
  subscribersMax: 100,
  // Below the 30 s after which common proxies give up on a silent reply.
  longPollMs: 25_000,
  // Durable Streams recommends about a minute, so that a CDN can share replies between readers. Readers with keys of
  // their own share nothing, and fewer, longer replies are cheaper.
  sseMs: 10 * 60_000,
  recheckMs: 15_000,
};

export interface DeliverOptions {
  /** Gives the principal that an authorization header stands for; fails with `key_*`. */
  authenticate(authorization: string | undefined): Principal | Promise<Principal>;
  database(id: DatabaseId): DatabaseEvents | undefined;
}

/** The two handlers of events for the HTTP server: both answer their own errors. */
export interface Delivery {
  /** Serves `/streams/…`. */
  readonly stream: (request: IncomingMessage, response: ServerResponse) => void;
  /** Serves upgrades of `/stream` and `/subscribe`. */
  readonly upgrade: (request: IncomingMessage, socket: Duplex, head: Buffer) => void;
}

/** The events of one process: the worker thread of the logs, and the subscribers. */
export interface Events {
  openDatabase(options: EventsOfDatabaseOptions): DatabaseEvents;
  deliver(options: DeliverOptions): Delivery;
  /** Disconnects the subscribers and ends the worker thread. Each database's own events have to be closed before. */
  close(): Promise<void>;
}

export function createEvents(options: EventsOptions): Events {
  const { clock, random, logger, region = 'local', connect = connectSocket } = options;
  const { subscribersMax, longPollMs, sseMs, recheckMs, ...limits } = { ...DEFAULT_EVENTS_LIMITS, ...options.limits };
  const logs = new EventLogs(clock);
  const newRay = (): string => `${newRequestId(random)}-${region}`;
  const pulse = new PulseDoor({ clock, logger, recheckMs, newRay });
  const streams = new StreamsDoor({ clock, logger, longPollMs, sseMs, recheckMs, newRay });
  return {
    openDatabase: (database) => new DatabaseEvents(database, { logs, limits, subscribersMax, connect, clock, logger }),
    deliver({ authenticate, database }) {
      const prove = (request: IncomingMessage) => async (): Promise<DatabaseEvents> => {
        const principal = await authenticate(request.headers.authorization);
        const events = database(principal.databaseId);
        if (events === undefined) throw new DormouseError('database_deleted');
        return events;
      };
      return {
        stream: (request, response) => void streams.handle(request, response, prove(request)),
        upgrade: (request, socket, head) => void pulse.upgrade(request, socket, head, prove(request)),
      };
    },
    async close() {
      pulse.close();
      await logs.close();
    },
  };
}
