import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import { NeedsRuntime } from '../needs-runtime.ts';
import type { Slices } from '../pace.ts';
import { type Attachment, isEmpty, matchChildren, plainOf, RecordSet, valueNode } from '../records/index.ts';
import type { Run } from '../run.ts';
import { type Node, whenThere } from './nodes.ts';

type Join = Extract<QueryPlanNode, { type: 'join' }>['args'];

/**
 * Attaches to each parent record its children. The statements of the children depend on the parents' keys only, so
 * they are all started at once.
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
    if (parent === null || (parent instanceof RecordSet && parent.single && isEmpty(parent))) return parent;
    // Each child is evaluated in a promise of its own, so that a synchronous failure of one leaves no other rejection
    // unhandled.
    return Promise.all(this.#children.map(async (node) => node.evaluate(run))).then((children) =>
      this.#attach(parent, children, run),
    );
  }
  async #attach(parent: unknown, children: readonly unknown[], run: Run): Promise<unknown> {
    try {
      return await run.pace.work(attached(parent, children, this.#join));
    } catch (error) {
      if (!(error instanceof NeedsRuntime)) throw error;
      // The records come from a node that the runtime evaluated, or the keys are compared by rules of JavaScript.
      return run.evaluateByRuntime({
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

function* attached(parent: unknown, children: readonly unknown[], join: Join): Slices<RecordSet> {
  if (!(parent instanceof RecordSet)) throw new NeedsRuntime();
  const attachments: Attachment[] = [...parent.attachments];
  for (const [index, { parentField, on, isRelationUnique }] of join.children.entries()) {
    const child = children[index];
    if (!(child instanceof RecordSet)) throw new NeedsRuntime();
    const positions = yield* matchChildren(parent, child, on);
    attachments.push({ name: parentField, child, single: isRelationUnique, children: positions });
  }
  return new RecordSet(parent.fields, parent.rows, parent.single, attachments);
}
