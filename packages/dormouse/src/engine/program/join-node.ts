import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import { type Node, whenThere } from './nodes.ts';
import { NotCovered } from './not-covered.ts';
import type { Slices } from './pace.ts';
import { plainOf, valueNode } from './plain-values.ts';
import { matchChildren } from './record-values.ts';
import { type Attachment, Rows } from './row-set.ts';
import { isEmpty } from './rules.ts';
import type { Run } from './run.ts';

type Join = Extract<QueryPlanNode, { type: 'join' }>['args'];

/**
 * Records with those of other lists that belong to them. Children know only their parents' keys: they are read at once.
 */
export class JoinNode implements Node {
  readonly #join: Join;
  readonly #parent: Node;
  readonly #children: readonly Node[];
  constructor(join: Join, parent: Node, children: readonly Node[]) {
    this.#join = join;
    this.#parent = parent;
    this.#children = children;
  }
  evaluate(run: Run): unknown {
    return whenThere(this.#parent.evaluate(run), (parent) => this.#read(parent, run));
  }
  #read(parent: unknown, run: Run): unknown {
    if (parent === null || (parent instanceof Rows && parent.single && isEmpty(parent))) return parent;
    // Each in a promise of its own, also one that fails at once: no other's failure may go unseen.
    return Promise.all(this.#children.map(async (node) => node.evaluate(run))).then((children) =>
      this.#attach(parent, children, run),
    );
  }
  async #attach(parent: unknown, children: readonly unknown[], run: Run): Promise<unknown> {
    try {
      return await run.pace.work(attached(parent, children, this.#join));
    } catch (error) {
      if (!(error instanceof NotCovered)) throw error;
      // Records that another part left to the runtime, or keys that are equal in ways of JavaScript.
      return run.interpret({
        type: 'join',
        args: {
          ...this.#join,
          parent: valueNode(plainOf(parent)),
          children: this.#join.children.map((each, index) => ({ ...each, child: valueNode(plainOf(children[index])) })),
        },
      });
    }
  }
}

function* attached(parent: unknown, children: readonly unknown[], join: Join): Slices<Rows> {
  if (!(parent instanceof Rows)) throw new NotCovered();
  const attachments: Attachment[] = [...parent.attachments];
  for (const [index, { parentField, on, isRelationUnique }] of join.children.entries()) {
    const child = children[index];
    if (!(child instanceof Rows)) throw new NotCovered();
    const places = yield* matchChildren(parent, child, on);
    attachments.push({ name: parentField, child, single: isRelationUnique, children: places });
  }
  return new Rows(parent.fields, parent.rows, parent.single, attachments);
}
