import type { Socket } from 'node:net';
import { type Clock, Deadline, DormouseError, type Timer } from '../../../base/index.ts';
import type { Hold, Instance } from '../../../instance/index.ts';
import { mayChangeSchemaBytes } from '../../../pool/index.ts';
import type { ServerSocket } from '../../../session/index.ts';
import { BackendMessage, FrameScanner, FrontendMessage } from '../../../wire/index.ts';
import { encodeRefusal } from '../refusal.ts';
import { PendingReplies } from './pending-replies.ts';

/** A statement whose client sends no more gets this long to end by itself before it is cancelled. */
const ABANDONED_MS = 5_000;
/** A client that was told why its session ended has this long to read it. */
const TOLD_MS = 5_000;
/** Terminate is a header alone. */
const TERMINATE_BYTES = 5;
/**
 * Longest payloads that the server takes (PQ_LARGE_MESSAGE_LIMIT, PQ_SMALL_MESSAGE_LIMIT); past them it ends without a
 * word.
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
/** Of an ErrorResponse the severity comes first. */
const ERROR_BYTES = 200;
const FATAL = /(?:^|\0)V(?:FATAL|PANIC)\0/;
/**
 * Where the messages do not tell whether the server works, it is asked: once nothing has passed for this long, then
 * after twice that …
 */
const ASK_MS = 200;
const ASK_MS_MAX = 5_000;
/** `LISTEN` with its final zero: no other tag begins with L and is as long. */
const LISTEN_FIRST = 0x4c;
const LISTEN_BYTES = 7;

export interface RelayOptions {
  readonly client: Socket;
  readonly server: ServerSocket;
  readonly instance: Instance;
  /** The hold under which the session was opened. */
  readonly hold: Hold;
  readonly clock: Clock;
  /** How long a message waits for the database to wake. */
  readonly wakeMs: number;
  /** What must be done before these bytes go to the server, if anything. Never rejects. */
  readonly before: (chunk: Buffer) => Promise<void> | undefined;
  /** Throws if the key may no longer be used; asked whenever an idle session goes to work. */
  readonly check: () => void;
  /** Called with the number of statements that a piece of the stream starts. */
  readonly count: (statements: number) => void;
  /** Called when what may have changed a table is committed, before the client hears of it. */
  readonly schemaChanged: () => void;
  /** Whether a session that has run LISTEN is never idle. */
  readonly listenKeepsAwake: () => boolean;
  /** `pg_stat_activity.state` of the backend; undefined if it is not known. Never rejects. */
  readonly stateOfServer: () => Promise<string | undefined>;
  /** Called once, when the client sends no more: what it has sent is still executed. */
  readonly onLeaving: () => void;
  /** Sees the server's side to its end; called once. */
  readonly endServer: (busy: boolean, hold: Hold | undefined) => void;
  /** Called once, when the client's side is closed. */
  readonly onEnd: () => void;
}

/**
 * Carries bytes between a client and its backend, and knows no more of them than what tells whether the session is
 * idle: where messages start, their types, and the status in the server's ReadyForQuery. While idle it holds nothing,
 * so the database may sleep; the next message waits until it is awake again.
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
  /** It has run LISTEN. */
  #listening = false;
  /** What is not committed yet may have changed a table. */
  #defines = false;
  #statements = 0;
  #lastFromServer = 0;
  #asking: Timer | undefined;
  #askMs = ASK_MS;
  /** Pieces of the streams, both ways. */
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
      // Nobody drains the client's side any more.
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
    // What closed before the listeners above were there; not at once, since whoever makes a relay must have it first.
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

  /** Tells the client why, where a message may stand in the stream, and ends the session. */
  end(reason: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    if (!this.#clientGone) {
      // In the middle of a row nothing can be said any more.
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
      // Goodbye from an idle session: its backend sees the end of the stream when the database wakes, not now.
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
    // What stands behind a goodbye is nothing to anybody.
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
    // Of these there are many, and they end nothing.
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

  /** Lets go of the database if nothing is under way. */
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

  /** Finds out what the server does, as soon as nothing passes in either direction. */
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
    // As Postgres does: what was sent is still executed, and its output goes to a client that only stopped sending.
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
      // The server said why itself, or the client asked for it.
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
    // A client that does not read would keep its socket for ever.
    const cut = this.#options.clock.after(TOLD_MS, () => this.#client.destroy());
    const done = (): void => {
      cut.cancel();
      this.#options.onEnd();
    };
    if (this.#client.destroyed) done();
    else this.#client.once('close', done);
    // Lets the end of the client's stream be seen.
    this.#client.resume();
  }
}
