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
  /** Created by the first upload. */
  readonly directory: string;
  /**
   * Most schemas that are kept. Beyond this number, the least recently used schema is deleted; its clients upload it
   * again by themselves.
   */
  readonly schemasMax: number;
  readonly schemaBytesMax: number;
  readonly compiler: Compiler;
  /** Shared with the plans that are kept, over all databases. */
  readonly budget: MemoryBudget;
  /** The database's id, by which databases take turns at the compiler. */
  readonly owner: string;
  readonly random: RandomBytes;
  readonly log: Logger;
}

/** A valid schema, for which queries can be compiled. */
export interface KnownSchema extends SchemaSource {
  /**
   * Says which values of a query may become parameters. Absent until the metadata was read, and for a schema whose
   * metadata is too large.
   */
  readonly graph: ParamGraph | undefined;
  /**
   * The graph for batches, in which enum values stay in the query. The rows of a batch are assigned to queries by their
   * keys. A key has the schema's name of an enum value, and a parameter would have the database's name.
   */
  readonly batchGraph: ParamGraph | undefined;
  /** What a worker thread needs besides the text to use the schema. */
  readonly facts: SchemaFacts;
}

/**
 * Most bytes of graphs that are kept per database. The graph of 1000 models has 14 MB, that of 20 models 0.3 MB. A
 * graph that was dropped is read again when it is used.
 */
const BYTES_MAX = 64 * 2 ** 20;
/** Bytes of a schema besides its graph: enums and maps. */
const WEIGHT_BASE = 4096;

const SUFFIX = '.prisma';
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** The schemas on disk by their hash. A schema that is in memory, or is being read, has a promise. */
type Known = Map<string, Promise<HeldSchema> | undefined>;

/**
 * The schemas that Prisma 6 clients of one database have uploaded.
 *
 * Invariants:
 * - Each schema is a file whose name is its hash: the SHA-256 of the schema's base64 text. A file with another hash is
 *   never used.
 * - A file is complete and on disk before its upload is answered.
 * - At most `schemasMax` schemas are kept on disk. The map is in the order of use, the least recent first.
 * - What is in memory is counted in the memory budget. A schema that the budget drops stays on disk, and its next use
 *   reads it again.
 */
export class SchemaStore {
  readonly #options: SchemaStoreOptions;
  /** The schemas on disk, the least recently used first. The first use lists the directory. */
  #known: Promise<Known> | undefined;
  /** The result of `#known`, once the directory is listed. */
  #index: Known = new Map();
  /** The schemas in memory. */
  readonly #ready = new Map<string, HeldSchema>();
  readonly #share: Share<HeldSchema>;
  /** The schema that was used last. Most databases have one schema only. */
  #latest: HeldSchema | undefined;

  constructor(options: SchemaStoreOptions) {
    this.#options = options;
    this.#share = options.budget.share(BYTES_MAX, (schema) => this.#forget(schema));
  }

  /** The schema of a hash, without waiting, if it is the one that was used last. */
  latest(hash: string): KnownSchema | undefined {
    if (this.#latest?.hash !== hash) return undefined;
    this.#share.use(this.#latest);
    return this.#latest;
  }

  /** Drops all schemas from memory. The files stay. */
  clear(): void {
    this.#share.clear();
  }

  /** The schema of a hash, or undefined if it was never uploaded or was deleted. */
  async find(hash: string, deadline: Deadline): Promise<KnownSchema | undefined> {
    const known = await this.#listed();
    if (!known.has(hash)) return undefined;
    const loading = known.get(hash) ?? this.#load(hash, deadline);
    known.delete(hash);
    known.set(hash, loading);
    try {
      const schema = await loading;
      // The schema may have been deleted or uploaded again while it was read.
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
   * Stores an uploaded schema durably, if it is valid. Throws `request_invalid` (the text does not have the hash),
   * `body_too_large`, `schema_invalid`, `schemas_exhausted` and `disk_full`.
   */
  async put(hash: string, base64: string, deadline: Deadline): Promise<void> {
    const { schemaBytesMax, schemasMax, compiler, owner, directory } = this.#options;
    const text = base64.trim();
    // This check comes before the text is scanned. Four characters of base64 are three bytes.
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

  /** Records a use of a schema. */
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

  /** Drops a schema from memory, at the request of the memory budget. Its file is read again by the next use. */
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
        // A write was interrupted, for example by a crash.
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
    // Metadata that is read later is added to the schema's weight then.
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

  /** Writes the file atomically and durably: after a power failure it is complete or does not exist. */
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

/** The facts about a schema, some of which may be read later: `want` starts the reading. */
type PendingFacts = SchemaFacts & { want?(): unknown };

/** A schema in memory, with the graphs of its metadata. */
export class HeldSchema implements KnownSchema, Kept {
  readonly hash: string;
  usedAt = 0;
  weight: number;
  readonly text: () => Promise<string>;
  readonly #facts: PendingFacts;
  #graph: ParamGraph | undefined;
  #batchGraph: ParamGraph | undefined;

  constructor(hash: string, facts: PendingFacts, text: () => Promise<string>) {
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
