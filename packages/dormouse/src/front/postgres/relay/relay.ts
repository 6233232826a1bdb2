import type { Socket } from 'node:net';
import { type Clock, Deadline, DormouseError, type Timer } from '../../../base/index.ts';
import type { Hold, Instance } from '../../../instance/index.ts';
import { mayChangeSchemaBytes } from '../../../pool/index.ts';
import type { ServerSocket } from '../../../session/index.ts';
import { BackendMessage, FrameScanner, FrontendMessage } from '../../../wire/index.ts';
import { encodeRefusal } from '../refusal.ts';
import { PendingReplies } from './pending-replies.ts';

/** The time that a statement has to end by itself, before it is cancelled, when its client sends no more. */
const ABANDONED_MS = 5_000;
/** The time that a client has to read why its session ended. */
const TOLD_MS = 5_000;
/** Terminate has a header and no payload. */
const TERMINATE_BYTES = 5;
/**
 * The longest payloads that the server takes (PQ_LARGE_MESSAGE_LIMIT, PQ_SMALL_MESSAGE_LIMIT); for a longer one, it
 * ends the session without an error.
 */
const LARGE_BYTES_MAX = 0x3fff_fffe;
const SMALL_BYTES_MAX = 10_000;
const LARGE = new Set<number>([
  FrontendMessage.Query,
  FrontendMessage.FunctionCall,
  FrontendMessage.Bind,
  FrontendMessage.Parse,
  FrontendMessage.CopyData,
]);
/** The bytes of an ErrorResponse that are kept: the severity comes first. */
const ERROR_BYTES = 200;
const FATAL = /(?:^|\0)V(?:FATAL|PANIC)\0/;
/**
 * Where the messages do not tell whether the server works, the server is asked: once nothing has passed for this long,
 * then after twice that, and so on.
 */
const ASK_MS = 200;
const ASK_MS_MAX = 5_000;
/** The tag `LISTEN` with its final zero: no other tag begins with L and is as long. */
const LISTEN_FIRST = 0x4c;
const LISTEN_BYTES = 7;

export interface RelayOptions {
  readonly client: Socket;
  readonly server: ServerSocket;
  readonly instance: Instance;
  /** The hold under which the session was opened. */
  readonly hold: Hold;
  readonly clock: Clock;
  /** The longest time that a message waits for the database to wake. */
  readonly wakeMs: number;
  /** Gives the work that must be done before these bytes go to the server, if any. Never rejects. */
  readonly before: (chunk: Buffer) => Promise<void> | undefined;
  /** Throws if the key may no longer be used; called whenever an idle session gets a message. */
  readonly check: () => void;
  /** Called with the number of statements that a chunk of the client's stream starts. */
  readonly count: (statements: number) => void;
  /** Called when a transaction that may have changed a table is committed, before the client gets the answer. */
  readonly schemaChanged: () => void;
  /** Whether a session that has run LISTEN is never idle. */
  readonly listenKeepsAwake: () => boolean;
  /** `pg_stat_activity.state` of the backend; undefined if it is not known. Never rejects. */
  readonly stateOfServer: () => Promise<string | undefined>;
  /** Called once, when the client sends no more. What it has sent is still executed. */
  readonly onLeaving: () => void;
  /** Called once: sees the backend to its end. */
  readonly endServer: (busy: boolean, hold: Hold | undefined) => void;
  /** Called once, when the client's side is closed. */
  readonly onEnd: () => void;
}

/**
 * Carries bytes between a client and its backend. It reads only what tells whether the session is idle: where messages
 * start, their types, and the status in the server's ReadyForQuery. While the session is idle, the relay has no hold,
 * so the database may sleep; the next message waits until the database is awake again.
 */
export class Relay {
  readonly #options: RelayOptions;
  readonly #client: Socket;
  readonly #server: ServerSocket;
  readonly #generation: number;
  #hold: Hold | undefined;
  readonly #fromClient: FrameScanner;
  readonly #fromServer: FrameScanner;
  readonly #pending = new PendingReplies();
  /** The session has run LISTEN. */
  #listening = false;
  /** The open transaction may have changed a table. */
  #defines = false;
  #statements = 0;
  #lastFromServer = 0;
  #asking: Timer | undefined;
  #askMs = ASK_MS;
  /** The number of chunks that have passed, in both directions. */
  #passed = 0;
  /** The client has sent Terminate. */
  #goodbye = false;
  /** The client sends no more; it may still read. */
  #clientDone = false;
  /** The client is gone. */
  #clientGone = false;
  #ended = false;
  #abandoned: Timer | undefined;

  constructor(options: RelayOptions) {
    this.#options = options;
    this.#client = options.client;
    this.#server = options.server;
    this.#generation = options.instance.generation;
    this.#hold = options.hold;
    this.#fromClient = new FrameScanner((type, bytes) => this.#clientFrame(type, bytes), {
      payloadBytesMax: (type) => (LARGE.has(type) ? LARGE_BYTES_MAX : SMALL_BYTES_MAX),
    });
    this.#fromServer = new FrameScanner((type, bytes, first) => this.#serverFrame(type, bytes, first), {
      keep: { type: BackendMessage.ErrorResponse, bytes: ERROR_BYTES },
    });
    const { client, server } = options;
    client.on('data', (chunk: Buffer) => this.#clientData(chunk));
    client.on('drain', () => server.resume());
    client.on('error', () => client.destroy());
    client.on('end', () => this.#clientEnded());
    client.on('close', () => {
      this.#clientGone = true;
      // The client no longer drains its side, so the server's side must go on.
      server.resume();
      this.#clientEnded();
    });
    server.on('data', (chunk: Buffer) => this.#serverData(chunk));
    server.on('drain', () => client.resume());
    server.on('error', () => server.destroy());
    server.on('end', () => this.#serverEnded());
    server.on('close', () => this.#serverEnded());
    this.#rest();
    server.resume();
    client.resume();
    // Handles a stream that closed before the listeners above were added. Not at once, since the caller must have the
    // relay first.
    process.nextTick(() => {
      this.#clientGone ||= client.destroyed;
      if (client.destroyed) this.#clientEnded();
      if (server.destroyed) this.#serverEnded();
    });
  }

  /** Nothing is under way: the session needs no awake database. */
  get idle(): boolean {
    return this.#pending.idle && this.#fromClient.atBoundary;
  }

  /** Ends the session and tells the client why, if the stream is between two messages. */
  end(reason: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.#clientGone) {
      // In the middle of a message, an error cannot be sent.
      if (this.#fromServer.atBoundary) this.#client.end(encodeRefusal(reason));
      else this.#client.end();
    }
    this.#finish();
  }

  #clientData(chunk: Buffer): void {
    const before = this.#options.before(chunk);
    if (before === undefined) {
      this.#clientBytes(chunk);
      return;
    }
    this.#client.pause();
    void before.then(() => {
      this.#clientBytes(chunk);
      if (!this.#ended) this.#client.resume();
    });
  }

  #clientBytes(chunk: Buffer): void {
    if (this.#ended || this.#clientDone) return;
    if (this.#hold !== undefined) {
      this.#forward(chunk);
      return;
    }
    if (chunk.length >= TERMINATE_BYTES && chunk[0] === FrontendMessage.Terminate && this.#fromClient.atBoundary) {
      // The client ends an idle session: the backend sees the end of its stream when the database next wakes.
      this.#clientEnded();
      return;
    }
    try {
      this.#options.check();
    } catch (error) {
      this.end(error);
      return;
    }
    const hold = this.#options.instance.tryHold();
    if (hold !== undefined) {
      this.#resumed(hold, chunk);
      return;
    }
    this.#client.pause();
    this.#options.instance.hold(Deadline.in(this.#options.clock, this.#options.wakeMs)).then(
      (held) => {
        this.#resumed(held, chunk);
        if (!this.#ended) this.#client.resume();
      },
      (error: unknown) => this.end(error),
    );
  }

  #resumed(hold: Hold, chunk: Buffer): void {
    if (this.#ended) {
      hold.release();
      return;
    }
    this.#hold = hold;
    if (this.#options.instance.generation !== this.#generation) this.end(new DormouseError('database_stopped'));
    else this.#forward(chunk);
  }

  #forward(chunk: Buffer): void {
    this.#passed += 1;
    let followed: number;
    try {
      followed = this.#fromClient.scan(chunk);
    } catch (error) {
      this.end(error);
      return;
    }
    if (this.#statements > 0) {
      this.#options.count(this.#statements);
      this.#statements = 0;
    }
    // Bytes after Terminate are dropped.
    if (!this.#server.write(followed === chunk.length ? chunk : chunk.subarray(0, followed))) this.#client.pause();
    if (this.#goodbye) this.#clientEnded();
    this.#rest();
  }

  #serverData(chunk: Buffer): void {
    if (this.#ended) return;
    this.#passed += 1;
    try {
      this.#fromServer.scan(chunk);
    } catch (error) {
      this.end(error);
      return;
    }
    if (!this.#clientGone && !this.#client.write(chunk)) this.#server.pause();
    this.#rest();
  }

  #clientFrame(type: number, bytes: number): void {
    if (type === FrontendMessage.Query || type === FrontendMessage.Execute) {
      this.#statements += 1;
    } else if (type === FrontendMessage.Terminate) {
      this.#goodbye = true;
      this.#fromClient.stop();
    }
    this.#pending.sent(type, bytes);
  }

  #serverFrame(type: number, bytes: number, first: number): void {
    this.#lastFromServer = type;
    // There are many of these messages, and they end nothing.
    if (type === BackendMessage.DataRow || type === BackendMessage.CopyData) return;
    this.#pending.received(type, first);
    if (type === BackendMessage.CommandComplete) {
      this.#defines ||= mayChangeSchemaBytes(first, bytes);
      this.#listening ||= first === LISTEN_FIRST && bytes === LISTEN_BYTES;
    } else if (type === BackendMessage.ReadyForQuery && this.#defines && this.#pending.outside) {
      this.#defines = false;
      this.#options.schemaChanged();
    }
  }

  /** Releases the hold if nothing is under way. */
  #rest(): void {
    if (this.#hold === undefined) return;
    if (this.#pending.unsure) this.#askLater();
    if (!this.idle) return;
    if (this.#listening && !this.#clientDone && this.#options.listenKeepsAwake()) return;
    if (this.#clientDone) {
      this.#finishAbandoned();
      return;
    }
    this.#hold.release();
    this.#hold = undefined;
  }

  /** Asks the server for its state, as soon as nothing passes in either direction. */
  #askLater(): void {
    this.#asking?.cancel();
    this.#asking = this.#options.clock.after(this.#askMs, () => {
      const passed = this.#passed;
      void this.#options.stateOfServer().then((state) => {
        if (this.#ended || passed !== this.#passed) return;
        this.#pending.settle(state);
        this.#askMs = this.#pending.unsure ? Math.min(this.#askMs * 2, ASK_MS_MAX) : ASK_MS;
        this.#rest();
      });
    });
  }

  #clientEnded(): void {
    if (this.#clientDone || this.#ended) return;
    this.#clientDone = true;
    this.#options.onLeaving();
    if (this.#hold === undefined) {
      this.#finishAbandoned();
      return;
    }
    // As with Postgres: what was sent is still executed, and its output goes to a client that has only stopped sending.
    this.#server.end();
    this.#abandoned = this.#options.clock.after(ABANDONED_MS, () => this.#finishAbandoned());
  }

  #finishAbandoned(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#client.end();
    this.#finish();
  }

  #serverEnded(): void {
    if (this.#ended) return;
    const told =
      this.#lastFromServer === BackendMessage.ErrorResponse && FATAL.test(this.#fromServer.kept.toString('latin1'));
    if (told || this.#clientDone) {
      // The server has told the client why, or the client asked for the end.
      this.#ended = true;
      this.#client.end();
      this.#finish();
      return;
    }
    this.end(new DormouseError('database_crashed'));
  }

  #finish(): void {
    this.#abandoned?.cancel();
    this.#asking?.cancel();
    const hold = this.#hold;
    this.#hold = undefined;
    this.#options.endServer(!this.idle, hold);
    // A client that does not read would keep its socket open forever.
    const cut = this.#options.clock.after(TOLD_MS, () => this.#client.destroy());
    const done = (): void => {
      cut.cancel();
      this.#options.onEnd();
    };
    if (this.#client.destroyed) done();
    else this.#client.once('close', done);
    // The end of the client's stream is only seen by a reader.
    this.#client.resume();
  }
}
