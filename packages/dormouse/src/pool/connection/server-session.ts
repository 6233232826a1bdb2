import type { Cancellation, Clock, Deadline, Logger, RandomBytes } from '../../base/index.ts';
import type { Hold, Instance } from '../../instance/index.ts';
import { type Connect, type OpenedSession, openSession, sendCancelRequest } from '../../session/index.ts';
import { endBackend } from './backend-end.ts';

export interface ServerSessionOptions {
  readonly instance: Instance;
  readonly connect: Connect;
  /** Startup parameters; `user` and `database` among them. */
  readonly parameters: ReadonlyMap<string, string>;
  /** For a server that asks for a password. */
  readonly password: string | undefined;
  readonly deadline: Deadline;
  /** Gives the start-up up when it fires. */
  readonly cancellation?: Cancellation;
  /** Gets the end of the backend of a start-up that was given up. */
  readonly left: Promise<void>[];
  readonly clock: Clock;
  readonly random: RandomBytes;
  readonly log: Logger;
}

/** A session in the server of an instance, and how to cancel its statement and end it. */
export interface ServerSession {
  readonly opened: OpenedSession;
  /** The generation of the server (see `Instance.generation`). */
  readonly generation: number;
  /** Sends one cancel request. Never rejects. */
  cancel(): Promise<void>;
  /** Sees the backend to its end (see `endBackend`); `hold` is released when the backend is gone. */
  end(busy: boolean, hold?: Hold): Promise<void>;
}

/** Opens a session in the server of an instance, for a caller that holds the instance. Fails as `openSession` does. */
export async function openServerSession(options: ServerSessionOptions): Promise<ServerSession> {
  const { instance, connect, parameters, password, deadline, cancellation, left, clock, random, log } = options;
  const { generation, endpoint } = instance;
  const socket = connect(endpoint);
  const backend = { instance, generation, socket, clock, log };
  const opened = await openSession(socket, {
    parameters,
    login: password === undefined ? undefined : { password, random },
    deadline,
    ...(cancellation === undefined ? {} : { cancellation }),
    leave: (processId) => left.push(endBackend({ ...backend, processId, busy: true, cancel: async () => {} })),
  });
  const { processId } = opened;
  const cancel = (): Promise<void> => sendCancelRequest(() => connect(endpoint), opened, clock);
  return {
    opened,
    generation,
    cancel,
    end: (busy, hold) => endBackend({ ...backend, processId, busy, cancel, hold }),
  };
}
