import { isUtf8 } from 'node:buffer';
import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import type { Kept, MemoryBudget, Share } from '../memory-budget.ts';
import { checkPlan } from '../prisma-runtime/index.ts';
import { type BuildProgram, buildProgram, type Program } from '../program/index.ts';
import { isObject, type JsonObject, parseBody } from '../request/index.ts';

/** A request whose plan is known by its text: only its parameters were parsed. */
export interface KnownRequest {
  readonly plan: QueryPlanNode;
  readonly program: Program | undefined;
  readonly params: unknown;
  readonly comments: unknown;
}

interface PlanText extends Kept {
  /** Fingerprints of the head: `hint` of few of its bytes, `print` of more. */
  readonly hint: number;
  readonly print: number;
  /** The bytes of the body up to the parameters. */
  readonly head: Buffer;
  readonly plan: QueryPlanNode;
  readonly program: Program | undefined;
  /** Characters of the program's kept texts that the weight includes. */
  texts: number;
}

/** Bytes kept per database. A plan with its program takes about 8 times the bytes of its text (measured). */
const WEIGHT_MAX = 24 * 2 ** 20;
const WEIGHT_PER_BYTE = 8;
const WEIGHT_BASE = 4096;
/** Longer plans are single writes of many rows, which are hardly ever sent twice. */
const HEAD_BYTES_MAX = 128 * 1024;
/** Plans of one length that are alike in the bytes of the hint; beyond the bound the oldest is dropped. */
const BUCKET_MAX = 64;
/** In a bucket of more plans than this, the longer fingerprint is compared before the plans are. */
const COMPARED_MAX = 4;
/** Fingerprints of plans that were seen once; all are forgotten when there are this many. */
const SEEN_MAX = 8192;
/** Words of four bytes in the hint, evenly spread over the plan: they take a tenth of a microsecond. */
const HINT_SAMPLES = 48;
/** Words in the longer fingerprint: all words of a plan of 2 KiB, evenly spread words of a longer plan; 1.5 µs. */
const SAMPLES = 512;
const SEPARATOR = Buffer.from(',"params":');
const OPEN = 0x7b;

/**
 * Plans of Prisma 7 by their text. The client writes a body as `{"model":…,"operation":…,"plan":…,"params":…}`. The
 * part before the parameters, the head, is the same for every execution of a query. Inside a JSON string a quote is
 * escaped, so `,"params":` can only stand between two members; parsing the rest proves that these are members of the
 * outermost object.
 */
export class PlansByText {
  readonly #buckets = new Map<number, PlanText[]>();
  readonly #seen = new Set<number>();
  readonly #share: Share<PlanText>;
  readonly #build: BuildProgram;

  constructor(budget: MemoryBudget, build: BuildProgram = buildProgram, weightMax: number = WEIGHT_MAX) {
    this.#build = build;
    this.#share = budget.share(weightMax, (known) => this.#forget(known));
  }

  /** Finds the plan of a body. Undefined for a plan that is not kept, and for a body of another form. */
  find(body: Buffer): KnownRequest | undefined {
    const at = body.lastIndexOf(SEPARATOR);
    if (at < 0 || at > HEAD_BYTES_MAX) return undefined;
    const bucket = this.#buckets.get(fingerprint(body, at, HINT_SAMPLES));
    if (bucket === undefined) return undefined;
    const print = bucket.length > COMPARED_MAX ? fingerprint(body, at, SAMPLES) : undefined;
    for (const known of bucket) {
      if (print !== undefined && print !== known.print) continue;
      if (known.head.length !== at || body.compare(known.head, 0, at, 0, at) !== 0) continue;
      const tail = tailOf(body, at);
      if (tail === undefined) return undefined;
      this.#use(known);
      return { plan: known.plan, program: known.program, params: tail.params, comments: tail.comments };
    }
    return undefined;
  }

  /** Notes a body that was parsed in full. Its plan is kept from the second time on. */
  note(body: Buffer): void {
    const at = body.lastIndexOf(SEPARATOR);
    if (at < 0 || at > HEAD_BYTES_MAX) return;
    const print = fingerprint(body, at, SAMPLES);
    if (!this.#seen.delete(print)) {
      if (this.#seen.size >= SEEN_MAX) this.#seen.clear();
      this.#seen.add(print);
      return;
    }
    const plan = planOf(body, at);
    if (plan === undefined || tailOf(body, at) === undefined) return;
    const weight = WEIGHT_BASE + at * WEIGHT_PER_BYTE;
    if (!this.#share.takes(weight)) return;
    const head = Buffer.from(body.subarray(0, at));
    const hint = fingerprint(body, at, HINT_SAMPLES);
    const program = this.#build(plan);
    const known: PlanText = { hint, print, head, plan, program, weight, texts: 0, usedAt: 0 };
    const bucket = this.#buckets.get(hint);
    if (bucket === undefined) this.#buckets.set(hint, [known]);
    else if (bucket.push(known) > BUCKET_MAX) this.#share.drop(oldestOf(bucket));
    this.#share.add(known);
  }

  /** Forgets all. */
  clear(): void {
    this.#seen.clear();
    this.#share.clear();
  }

  /** Notes a use, and adds to the weight the texts that earlier uses have made the program keep. */
  #use(known: PlanText): void {
    const texts = known.program === undefined ? 0 : known.program.textsKept;
    if (texts === known.texts) {
      this.#share.use(known);
      return;
    }
    this.#share.grow(known, texts - known.texts);
    known.texts = texts;
  }

  #forget(known: PlanText): void {
    const bucket = this.#buckets.get(known.hint);
    if (bucket === undefined) return;
    bucket.splice(bucket.indexOf(known), 1);
    if (bucket.length === 0) this.#buckets.delete(known.hint);
  }
}

/** The oldest plan of a bucket, not counting the last, which is new. */
function oldestOf(bucket: readonly PlanText[]): PlanText {
  let oldest = bucket[0] as PlanText;
  for (const known of bucket.slice(0, -1)) if (known.usedAt < oldest.usedAt) oldest = known;
  return oldest;
}

/** A hash of the length and some bytes of a plan: it tells where to look, and proves nothing. */
function fingerprint(body: Buffer, length: number, samples: number): number {
  let print = length;
  const step = Math.max(4, Math.floor(length / samples));
  for (let at = length - 4; at >= 0; at -= step) {
    const word =
      (body[at] as number) |
      ((body[at + 1] as number) << 8) |
      ((body[at + 2] as number) << 16) |
      ((body[at + 3] as number) << 24);
    print = Math.imul(print ^ word, 0x01000193);
    print ^= print >>> 15;
  }
  return print;
}

/** The members behind the plan, or undefined if the rest of the body is anything else. */
function tailOf(body: Buffer, at: number): { readonly params: unknown; readonly comments?: unknown } | undefined {
  const bytes = body.subarray(at);
  if (!isUtf8(bytes)) return undefined;
  const tail = objectOf(`{${body.toString('utf8', at + 1, body.length)}`);
  if (tail === undefined) return undefined;
  for (const name in tail) if (name !== 'params' && name !== 'comments') return undefined;
  return tail as { params: unknown; comments?: unknown };
}

function planOf(body: Buffer, at: number): QueryPlanNode | undefined {
  const head = body[0] === OPEN ? objectOf(`${body.toString('utf8', 0, at)}}`) : undefined;
  if (head === undefined) return undefined;
  for (const name in head) if (name !== 'plan' && name !== 'model' && name !== 'operation') return undefined;
  return checkPlan(head.plan);
}

function objectOf(text: string): JsonObject | undefined {
  try {
    const value: unknown = parseBody(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
