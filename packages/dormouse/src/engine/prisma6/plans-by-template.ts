import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import type { Kept, MemoryBudget, Share } from '../memory-budget.ts';
import { TextScan } from '../request/index.ts';
import { learnTemplate, type QueryTemplate, type ReadQuery } from './query-template.ts';

/** A query whose template is known: only its values were parsed. */
export interface KnownQuery {
  readonly plan: QueryPlanNode;
  readonly scope: Record<string, unknown>;
  readonly template: QueryTemplate;
}

/** Bytes kept per database. */
const WEIGHT_MAX = 12 * 2 ** 20;
/** A template and its plan take about this many bytes per character of the text. PlansByShape may share the plan. */
const WEIGHT_PER_CHARACTER = 14;
const WEIGHT_BASE = 2048;
/** Longer texts are writes of many values, of which hardly two are alike. */
const TEXT_MAX = 8192;
/** Templates of one hash. They differ in parts that are no parameters, such as a sort order or an enum value. */
const BUCKET_MAX = 16;
/**
 * After this many texts of one hash that gave no template, or a template that was dropped, the hash takes no more: its
 * texts differ each time.
 */
const LOST_MAX = 64;

interface Bucket extends Kept {
  readonly hash: number;
  readonly templates: QueryTemplate[];
  lost: number;
}

/**
 * The plans of Prisma 6 by the template of their query's text. The client writes the same text each time for one call
 * in an application, except for the values. A text that fits a template is not parsed again: its values are cut out of
 * their known places. A template is made from a query that was read in full (parsed and parameterized), and fits only
 * texts for which reading in full would give the same plan.
 */
export class PlansByTemplate {
  readonly #buckets = new Map<number, Bucket>();
  readonly #scan = new TextScan();
  readonly #share: Share<Bucket>;

  constructor(budget: MemoryBudget, weightMax: number = WEIGHT_MAX) {
    this.#share = budget.share(weightMax, ({ hash }) => this.#buckets.delete(hash));
  }

  /** Estimated bytes that are kept. */
  get weight(): number {
    return this.#share.bytes;
  }

  /** Finds the template of a text and cuts out the text's values; undefined if there is no template. */
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

  /** Learns the template of a query that was read in full. */
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
