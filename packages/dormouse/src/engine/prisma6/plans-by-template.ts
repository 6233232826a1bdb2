import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import type { Kept, MemoryBudget, Share } from '../memory-budget.ts';
import { TextScan } from '../request/index.ts';
import { learnTemplate, type QueryTemplate, type ReadQuery } from './query-template.ts';

/** A query whose form was met before: nothing of it was parsed but its values. */
export interface KnownQuery {
  readonly plan: QueryPlanNode;
  readonly scope: Record<string, unknown>;
  readonly template: QueryTemplate;
}

/** Kept a database. */
const WEIGHT_MAX = 12 * 2 ** 20;
/** A template with its plan is about this many times its text; the plan it may share with the plan cache. */
const WEIGHT_PER_CHARACTER = 14;
const WEIGHT_BASE = 2048;
/** Longer texts are writes of many values; hardly two are alike. */
const TEXT_MAX = 8192;
/** Templates of one hash: they differ in what is no parameter, such as an order or an enum's value. */
const BUCKET_MAX = 16;
/** A hash whose texts could not be learned or were not met again so often takes no more: they differ each time. */
const LOST_MAX = 64;

interface Bucket extends Kept {
  readonly hash: number;
  readonly templates: QueryTemplate[];
  lost: number;
}

/**
 * The queries of Prisma 6 by the form of their text. The client writes one call of an application as the same text each
 * time, but for the values in it: such a text is not parsed again, its values are cut out of their known places. A
 * template is made from what the long way made of a query, and serves only texts of which the long way would make the
 * same.
 */
export class PlansByTemplate {
  readonly #buckets = new Map<number, Bucket>();
  readonly #scan = new TextScan();
  readonly #share: Share<Bucket>;

  constructor(budget: MemoryBudget, weightMax: number = WEIGHT_MAX) {
    this.#share = budget.share(weightMax, ({ hash }) => this.#buckets.delete(hash));
  }

  /** Estimated bytes held. */
  get weight(): number {
    return this.#share.bytes;
  }

  /** Looks for the form of a text and cuts out its values; undefined for one not known. */
  find(schemaHash: string, text: string): KnownQuery | undefined {
    if (text.length > TEXT_MAX || !this.#scan.read(text)) return undefined;
    const { hash } = this.#scan;
    const bucket = this.#buckets.get(hash);
    if (bucket === undefined) return undefined;
    for (const template of bucket.templates) {
      const scope = template.match(schemaHash, this.#scan);
      if (scope === undefined) continue;
      this.#share.use(bucket);
      return { plan: template.plan, scope, template };
    }
    return undefined;
  }

  /** Learns the form of a query that was read the long way. */
  note(schemaHash: string, read: ReadQuery): void {
    if (read.text.length > TEXT_MAX || !this.#scan.read(read.text)) return;
    const bucket = this.#bucket(this.#scan.hash);
    if (bucket.lost >= LOST_MAX) return;
    const template = learnTemplate(schemaHash, read, this.#scan);
    if (template === undefined) {
      bucket.lost++;
      return;
    }
    bucket.templates.push(template);
    let grown = weightOf(template);
    if (bucket.templates.length > BUCKET_MAX) {
      grown -= weightOf(bucket.templates.shift() as QueryTemplate);
      bucket.lost++;
    }
    this.#share.grow(bucket, grown);
  }

  /** Forgets all. */
  clear(): void {
    this.#share.clear();
  }

  #bucket(hash: number): Bucket {
    let bucket = this.#buckets.get(hash);
    if (bucket === undefined) {
      bucket = { hash, templates: [], lost: 0, weight: WEIGHT_BASE, usedAt: 0 };
      this.#buckets.set(hash, bucket);
      this.#share.add(bucket);
    }
    return bucket;
  }
}

function weightOf({ length }: QueryTemplate): number {
  return WEIGHT_BASE + length * WEIGHT_PER_CHARACTER;
}
