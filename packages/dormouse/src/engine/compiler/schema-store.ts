import { createHash } from 'node:crypto';
import { mkdir, open, readdir, readFile, rename, stat, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import type { ParamGraph } from '@prisma/param-graph';
import { type Deadline, DormouseError, diskFailure, type Logger, type RandomBytes } from '../../base/index.ts';
import type { Kept, MemoryBudget, Share } from '../memory-budget.ts';
import type { Compiler, SchemaSource } from './compiler.ts';
import type { SchemaFacts } from './compiler-protocol.ts';
import type { MetadataReading } from './metadata-reading.ts';
import { graphBytes, openGraph } from './packed-graph.ts';

export interface SchemaStoreOptions {
  /** Made on the first upload. */
  readonly directory: string;
  /** Schemas kept; beyond it the least recently used one goes, and its clients upload it again by themselves. */
  readonly schemasMax: number;
  readonly schemaBytesMax: number;
  readonly compiler: Compiler;
  /** Shared with all that is kept of queries, of all databases. */
  readonly budget: MemoryBudget;
  /** Whose turn it is at the compiler: the database's id. */
  readonly owner: string;
  readonly random: RandomBytes;
  readonly log: Logger;
}

/** A schema that is known to be valid and ready to compile for. */
export interface KnownSchema extends SchemaSource {
  /**
   * Says which values of a query may be taken out of it; absent until that is read, and for a schema too large for it.
   */
  readonly graph: ParamGraph | undefined;
  /**
   * The same for batches, where enum values stay in the query: rows of a batch are told apart by their keys, which name
   * an enum value as the schema does, while one taken out is called as the database calls it.
   */
  readonly batchGraph: ParamGraph | undefined;
  /** What a thread needs beside the text to have it too. */
  readonly facts: SchemaFacts;
}

/**
 * Graphs held a database: one of a schema of 1000 models has 14 MB, of 20 models 0.3. Others are read again when used.
 */
const BYTES_MAX = 64 * 2 ** 20;
/** What else a schema holds: its enums and maps. */
const WEIGHT_BASE = 4096;

const SUFFIX = '.prisma';
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** By hash, what is in memory or on its way there. */
type Known = Map<string, Promise<HeldSchema> | undefined>;

/**
 * The schemas that Prisma 6 clients of one database have uploaded: a file each, named by its hash, which is the SHA-256
 * of the schema's base64 text. A file that does not have its hash is as good as none.
 */
export class SchemaStore {
  readonly #options: SchemaStoreOptions;
  /** Least recently used first; loaded into memory by its first use. */
  #known: Promise<Known> | undefined;
  /** The same, once it is there. */
  #index: Known = new Map();
  /** Those that are ready. */
  readonly #ready = new Map<string, HeldSchema>();
  readonly #share: Share<HeldSchema>;
  /** The one used last, which most databases have one of. */
  #latest: HeldSchema | undefined;

  constructor(options: SchemaStoreOptions) {
    this.#options = options;
    this.#share = options.budget.share(BYTES_MAX, (schema) => this.#forget(schema));
  }

  /** The schema of this hash if it is the one that was used last, at once. */
  latest(hash: string): KnownSchema | undefined {
    if (this.#latest?.hash !== hash) return undefined;
    this.#share.use(this.#latest);
    return this.#latest;
  }

  /** Lets go all that it holds in memory; the files stay. */
  clear(): void {
    this.#share.clear();
  }

  /** The schema of this hash, or undefined if it was never uploaded or had to go. */
  async find(hash: string, deadline: Deadline): Promise<KnownSchema | undefined> {
    const known = await this.#listed();
    if (!known.has(hash)) return undefined;
    const loading = known.get(hash) ?? this.#load(hash, deadline);
    known.delete(hash);
    known.set(hash, loading);
    try {
      const schema = await loading;
      // It may have had to go while it was read.
      if (known.get(hash) === loading) this.#use(schema);
      return schema;
    } catch (error) {
      if (known.get(hash) === loading) known.set(hash, undefined);
      if (!(error instanceof UnusableFile)) throw error;
      this.#options.log.log('warn', 'an uploaded schema is unusable and is dropped', { hash, reason: error.message });
      known.delete(hash);
      return undefined;
    }
  }

  /**
   * Keeps an uploaded schema, durably, once it is valid. Throws `request_invalid` (not the text of that hash),
   * `body_too_large`, `schema_invalid`, `disk_full`.
   */
  async put(hash: string, base64: string, deadline: Deadline): Promise<void> {
    const { schemaBytesMax, schemasMax, compiler, owner, directory } = this.#options;
    const text = base64.trim();
    // Before the whole of it is looked at: four characters stand for three bytes.
    if (text.length > schemaBytesMax * 2 + 4) throw tooLarge(text.length * 0.75, schemaBytesMax);
    if (!BASE64.test(text) || sha256(text) !== hash) {
      throw new DormouseError('request_invalid', { message: 'The uploaded schema is not the one its hash names.' });
    }
    const bytes = Buffer.from(text, 'base64');
    if (bytes.byteLength > schemaBytesMax) throw tooLarge(bytes.byteLength, schemaBytesMax);
    if (schemasMax < 1) throw new DormouseError('schemas_exhausted');
    const schema = bytes.toString('utf8');
    const known = await this.#listed();
    const facts = await compiler.load(owner, schema, deadline);
    if (!known.has(hash)) await this.#write(hash, schema);
    const held = this.#schema(hash, facts);
    known.delete(hash);
    known.set(hash, undefined);
    this.#use(held);
    known.set(hash, Promise.resolve(held));
    while (known.size > schemasMax) {
      const [oldest] = known.keys();
      if (oldest === undefined) break;
      known.delete(oldest);
      const ready = this.#ready.get(oldest);
      if (ready !== undefined) this.#share.drop(ready);
      await unlink(join(directory, oldest + SUFFIX)).catch(ignoreMissing);
    }
  }

  /** Notes that it is the one used last. */
  #use(schema: HeldSchema): void {
    this.#latest = schema;
    const before = this.#ready.get(schema.hash);
    if (before === schema) {
      this.#share.use(schema);
      return;
    }
    if (before !== undefined) this.#share.drop(before);
    this.#latest = schema;
    this.#ready.set(schema.hash, schema);
    this.#share.add(schema);
  }

  /** It had to go; its file is read again when it is asked for. */
  #forget(schema: HeldSchema): void {
    if (this.#latest === schema) this.#latest = undefined;
    if (this.#ready.get(schema.hash) !== schema) return;
    this.#ready.delete(schema.hash);
    if (this.#index.has(schema.hash)) this.#index.set(schema.hash, undefined);
  }

  #listed(): Promise<Known> {
    this.#known ??= this.#list().then(
      (found) => {
        this.#index = found;
        return found;
      },
      (error: unknown) => {
        this.#known = undefined;
        throw error;
      },
    );
    return this.#known;
  }

  async #list(): Promise<Known> {
    const { directory } = this.#options;
    const names = await readdir(directory).catch((error: unknown) => {
      ignoreMissing(error);
      return [];
    });
    const found: { hash: string; usedMs: number }[] = [];
    for (const name of names) {
      const hash = name.slice(0, -SUFFIX.length);
      if (name.endsWith(SUFFIX) && /^[0-9a-f]{64}$/.test(hash)) {
        found.push({ hash, usedMs: (await stat(join(directory, name))).mtimeMs });
      } else if (name.endsWith('.tmp')) {
        // Left by a write that did not end.
        await unlink(join(directory, name)).catch(ignoreMissing);
      }
    }
    found.sort((a, b) => a.usedMs - b.usedMs);
    return new Map(found.map(({ hash }) => [hash, undefined]));
  }

  async #load(hash: string, deadline: Deadline): Promise<HeldSchema> {
    const { compiler, owner } = this.#options;
    const schema = await this.#read(hash);
    try {
      const facts = await compiler.load(owner, schema, deadline);
      return this.#schema(hash, facts);
    } catch (error) {
      if (error instanceof DormouseError && error.code === 'schema_invalid') throw new UnusableFile(error.message);
      throw error;
    }
  }

  #schema(hash: string, reading: MetadataReading): HeldSchema {
    const schema = new HeldSchema(hash, reading, () => this.#read(hash));
    // What comes later is counted then.
    if (reading.parameters === undefined) reading.onRead = () => this.#share.grow(schema, weightOf(reading));
    return schema;
  }

  async #read(hash: string): Promise<string> {
    const schema = await readFile(join(this.#options.directory, hash + SUFFIX), 'utf8').catch((error: unknown) => {
      ignoreMissing(error);
      throw new UnusableFile('the file is gone');
    });
    if (sha256(Buffer.from(schema).toString('base64')) !== hash)
      throw new UnusableFile('the file does not have its hash');
    return schema;
  }

  /** Writes the file so that it is there whole or not at all, also after a power cut. */
  async #write(hash: string, schema: string): Promise<void> {
    const { directory, random } = this.#options;
    const temporary = join(directory, `${hash}.${Buffer.from(random(8)).toString('hex')}.tmp`);
    try {
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const file = await open(temporary, 'wx', 0o600);
      try {
        await file.writeFile(schema);
        await file.sync();
      } finally {
        await file.close();
      }
      await rename(temporary, join(directory, hash + SUFFIX));
      const folder = await open(directory, 'r');
      try {
        await folder.sync();
      } finally {
        await folder.close();
      }
    } catch (cause) {
      await unlink(temporary).catch(() => undefined);
      throw new DormouseError(diskFailure((cause as NodeJS.ErrnoException).code) ?? 'internal', { cause });
    }
  }
}

/** What is known of a schema, or comes to be known later: `want` sees to that. */
type ComingFacts = SchemaFacts & { want?(): unknown };

/** A schema with what was read of it. */
export class HeldSchema implements KnownSchema, Kept {
  readonly hash: string;
  usedAt = 0;
  weight: number;
  readonly text: () => Promise<string>;
  readonly #facts: ComingFacts;
  #graph: ParamGraph | undefined;
  #batchGraph: ParamGraph | undefined;

  constructor(hash: string, facts: ComingFacts, text: () => Promise<string>) {
    this.hash = hash;
    this.text = text;
    this.#facts = facts;
    this.weight = WEIGHT_BASE + weightOf(facts);
  }

  get facts(): SchemaFacts {
    const { parameters } = this.#facts;
    return parameters === undefined ? {} : { parameters };
  }

  get graph(): ParamGraph | undefined {
    const { parameters } = this.#facts;
    if (parameters === undefined) {
      this.#facts.want?.();
      return undefined;
    }
    const { graph, enums } = parameters;
    this.#graph ??= openGraph(graph, (name) => (Object.hasOwn(enums, name) ? enums[name] : undefined));
    return this.#graph;
  }

  get batchGraph(): ParamGraph | undefined {
    const { parameters } = this.#facts;
    if (parameters === undefined) this.#facts.want?.();
    else this.#batchGraph ??= openGraph(parameters.graph, () => undefined);
    return this.#batchGraph;
  }
}

function weightOf({ parameters }: SchemaFacts): number {
  return parameters === undefined ? 0 : graphBytes(parameters.graph);
}

function tooLarge(bytes: number, bytesMax: number): DormouseError {
  return new DormouseError('body_too_large', {
    message: `The uploaded schema has ${Math.floor(bytes)} bytes; at most ${bytesMax} are taken.`,
  });
}

class UnusableFile extends Error {}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function ignoreMissing(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
}
