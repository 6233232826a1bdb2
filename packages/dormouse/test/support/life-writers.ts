import { createHash } from 'node:crypto';
import pg from 'pg';
import type { Loose } from './clients.ts';
import { counterText, type Ledger, rowTexts, type Write } from './ledger.ts';
import type { Seeded } from './seeded.ts';

/** How a write failed: a code of Dormouse or of Postgres, a cut connection, or a failure that no fault explains. */
export interface Failure {
  readonly kind: 'refused' | 'cut' | 'unclear';
  readonly outcome: string;
}

/** One way of writing. `write` resolves once the write is acknowledged; `failure` describes what `write` threw. */
export interface Door {
  readonly writer: string;
  /** Which forms of transaction it has. */
  readonly transactions: boolean;
  write(write: Write): Promise<void>;
  failure(thrown: unknown): Failure;
  close(): Promise<void>;
}

const CUT =
  /fetch failed|ECONNREFUSED|ECONNRESET|EPIPE|socket hang up|other side closed|terminated|Connection ended|is not queryable/i;
/**
 * Codes that say what a fault did (P5005: Prisma 6 used up its tries while the platform started, then met one that
 * lacks its schema). Never a bug of ours (P6000, XX000), nor a key or a request that is wrong.
 */
const PRISMA_CODES = new Set([
  'P1017',
  'P2024',
  'P2028',
  'P2034',
  'P5005',
  'P5006',
  'P5008',
  'P5009',
  'P6003',
  'P6004',
  'P6008',
]);
/** Connection lost, shutdown, crash, cannot connect now, too many connections. */
const SQLSTATES = /^(08...|57P0[1235]|53300)$/;

function messageOf(thrown: unknown): string {
  const { message, cause } = thrown as { message?: string; cause?: unknown };
  const inner = cause === undefined ? '' : ` (${String((cause as { code?: string }).code ?? cause)})`;
  return `${message ?? String(thrown)}${inner}`.replace(/\s+/g, ' ').trim();
}

function prismaFailure(thrown: unknown): Failure {
  const { code } = thrown as { code?: string };
  if (code !== undefined && PRISMA_CODES.has(code)) return { kind: 'refused', outcome: code };
  const message = messageOf(thrown);
  // P5010 is Prisma 6's own code for a request that never got an answer; 7 gives its bare P6000 for that.
  if (CUT.test(message)) return { kind: 'cut', outcome: 'cut' };
  return { kind: 'unclear', outcome: `${code ?? 'no code'}: ${message.slice(-400)}` };
}

/** A UUID that a text always gives. */
function uuidOf(text: string): string {
  const hex = createHash('sha256').update(text).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

/**
 * A stock client, of either version: single creates, array transactions, interactive ones. Prisma 6 by itself repeats a
 * request whose reply was lost, writes included, so its rows bring their key, as an app's must that wants each once: a
 * repeat is refused with P2002.
 */
export function prismaDoor(writer: string, version: 6 | 7, client: Loose, counterId: string, random: Seeded): Door {
  const counter = { where: { id: counterId }, data: { int: { increment: 1 } } };
  return {
    writer,
    transactions: true,
    async write(write) {
      const creates = rowTexts(write).map((text) => ({
        data: version === 6 ? { id: uuidOf(text), text } : { text },
      }));
      if (!write.counts && creates.length === 1) {
        await client.sample.create(creates[0]);
      } else if (random.below(2) === 0) {
        await client.$transaction([
          ...creates.map((create) => client.sample.create(create)),
          ...(write.counts ? [client.sample.update(counter)] : []),
        ]);
      } else {
        await client.$transaction(
          async (tx: Loose) => {
            for (const create of creates) await tx.sample.create(create);
            if (write.counts) await tx.sample.update(counter);
          },
          { maxWait: 5_000, timeout: 10_000 },
        );
      }
    },
    failure: (thrown) =>
      version === 6 && (thrown as { code?: string }).code === 'P2002'
        ? { kind: 'refused', outcome: 'P2002 of its own repeat' }
        : prismaFailure(thrown),
    close: () => client.$disconnect(),
  };
}

interface PostgresError extends Error {
  readonly code?: string;
  readonly severity?: string;
}

/** node-postgres, one session for as long as it lives, then a new one. */
export function sessionDoor(writer: string, url: () => string, boundMs: number): Door {
  let client: pg.Client | undefined;
  const open = async (): Promise<pg.Client> => {
    const fresh = new pg.Client({ connectionString: url(), connectionTimeoutMillis: boundMs });
    const forget = (): void => {
      if (client === fresh) client = undefined;
    };
    // A session that ends while it is idle says so here.
    fresh.on('error', forget).on('end', forget);
    await fresh.connect();
    client = fresh;
    return fresh;
  };
  return {
    writer,
    transactions: true,
    async write(write) {
      const session = client ?? (await open());
      const insert = 'INSERT INTO samples (text) VALUES ($1)';
      try {
        if (write.rows === 1 && !write.counts) {
          await session.query(insert, [write.id]);
          return;
        }
        await session.query('BEGIN');
        for (const text of rowTexts(write)) await session.query(insert, [text]);
        if (write.counts)
          await session.query('UPDATE samples SET int = int + 1 WHERE text = $1', [counterText(writer)]);
        const { command } = await session.query('COMMIT');
        if (command !== 'COMMIT') throw new Error(`COMMIT was answered with ${command}`);
      } catch (error) {
        // The state of the session does not matter.
        client = undefined;
        session.end().catch(() => {});
        throw error;
      }
    },
    failure(thrown) {
      const { code, severity } = thrown as PostgresError;
      if (code !== undefined && SQLSTATES.test(code)) return { kind: 'refused', outcome: `${severity} ${code}` };
      const message = messageOf(thrown);
      if (CUT.test(message) || CUT.test(code ?? '')) return { kind: 'cut', outcome: 'cut' };
      return { kind: 'unclear', outcome: `${code ?? 'no code'}: ${message}` };
    },
    async close() {
      await client?.end().catch(() => {});
    },
  };
}

class Refused extends Error {
  readonly status: number;
  readonly body: string;
  constructor(status: number, body: string) {
    super(`${status} ${body}`);
    this.status = status;
    this.body = body;
  }
}

/**
 * A recorded query plan of Prisma 7, sent again and again with another text; `mark` is the text it was recorded with.
 */
export function rawDoor(writer: string, base: () => string, apiKey: string, plan: string, mark: string): Door {
  return {
    writer,
    transactions: false,
    async write(write) {
      const reply = await fetch(`${base()}/query`, {
        method: 'POST',
        headers: { authorization: `Bearer ${apiKey}`, 'content-type': 'application/json' },
        body: plan.replaceAll(mark, write.id),
      });
      const body = await reply.text();
      if (reply.status !== 200) throw new Refused(reply.status, body);
      JSON.parse(body);
    },
    failure(thrown) {
      if (!(thrown instanceof Refused)) return prismaFailure(thrown);
      try {
        const { code, message, meta } = JSON.parse(thrown.body) as Record<string, Loose>;
        const said = typeof message === 'string' && message.length > 10 && typeof meta.reason === 'string';
        if (said && PRISMA_CODES.has(code))
          return { kind: 'refused', outcome: `${thrown.status} ${code} ${meta.reason}` };
      } catch {}
      return { kind: 'unclear', outcome: thrown.message };
    },
    close: async () => {},
  };
}

/** Runs one door's writes until ended; notes each in the ledger. */
export class Writer {
  readonly door: Door;
  readonly #ledger: Ledger;
  readonly #random: Seeded;
  readonly #boundMs: number;
  #ended = false;
  #paused: Promise<void> | undefined;
  #resume: () => void = () => {};
  #busy: Promise<void> = Promise.resolve();
  readonly #running: Promise<void>;

  constructor(door: Door, ledger: Ledger, random: Seeded, boundMs: number) {
    this.door = door;
    this.#ledger = ledger;
    this.#random = random;
    this.#boundMs = boundMs;
    this.#running = this.#run();
  }

  /** Resolves when no write of this writer is under way. */
  async pause(): Promise<void> {
    this.#paused ??= new Promise((resolve) => {
      this.#resume = resolve;
    });
    await this.#busy;
  }

  resume(): void {
    this.#paused = undefined;
    this.#resume();
  }

  async end(): Promise<void> {
    this.#ended = true;
    this.resume();
    await this.#running;
    await this.door.close();
  }

  async #run(): Promise<void> {
    while (!this.#ended) {
      if (this.#paused !== undefined) {
        await this.#paused;
        continue;
      }
      this.#busy = this.#one();
      await this.#busy;
      // Think time: two cores are shared with the platform, Postgres and the faults.
      await new Promise((resolve) => setTimeout(resolve, this.#random.below(20)));
    }
  }

  async #one(): Promise<void> {
    const { door } = this;
    const kind = door.transactions ? this.#random.below(4) : 0;
    const write = this.#ledger.begin(door.writer, kind < 2 ? 1 : kind, kind === 1 || kind === 3);
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), this.#boundMs);
    });
    try {
      const won = await Promise.race([door.write(write).then(() => 'done' as const), late]);
      if (won === 'done') this.#ledger.acknowledge(write);
      else this.#ledger.unclear.push(`${write.id} got no answer within ${this.#boundMs} ms`);
    } catch (thrown) {
      const { kind: how, outcome } = door.failure(thrown);
      this.#ledger.note(door.writer, how === 'unclear' ? 'unclear' : outcome);
      if (how === 'unclear') this.#ledger.unclear.push(`${write.id}: ${outcome}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    } finally {
      clearTimeout(timer);
    }
  }
}
