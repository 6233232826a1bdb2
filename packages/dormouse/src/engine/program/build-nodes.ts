import type { PrismaValue, QueryPlanNode } from '@prisma/client-engine-runtime';
import { isObject } from '../request/index.ts';
import { type Argument, argumentValue, buildArgument, type Scope } from './argument.ts';
import { NeedsRuntime } from './needs-runtime.ts';
import {
  ChoiceNode,
  concatenated,
  difference,
  ExecuteNode,
  FirstNonEmptyNode,
  fieldValues,
  GeneratorNode,
  JoinNode,
  LetNode,
  ListNode,
  MapNode,
  type Node,
  processed,
  QueryNode,
  required,
  reversed,
  SequenceNode,
  standIn,
  TransactionNode,
  total,
  UNIT,
  unique,
  ValueNode,
  VariableNode,
  validated,
} from './nodes/index.ts';
import { plainOf, valueNode } from './records/index.ts';
import type { Run } from './run.ts';
import { Statement } from './statement.ts';

/** The tree of nodes of a program. */
export interface ProgramNodes {
  readonly root: Node;
  readonly statements: readonly Statement[];
  /** The parameters that its statements bind. */
  readonly parameters: readonly string[];
  /** The names of the plan's own variables. A parameter must not have one of these names. */
  readonly variables: readonly string[];
  /** Whether all of its statements only read, so that it may run beside other programs, or again. */
  readonly reads: boolean;
}

/** Builds the nodes for the part of a plan below its data map. Throws `NeedsRuntime`. */
export function buildNodes(plan: QueryPlanNode): ProgramNodes {
  const builder = new NodeBuilder();
  const root = builder.node(plan, new Map());
  const { statements, parameters, variables } = builder;
  if (statements.length === 0) throw new NeedsRuntime();
  const reads = statements.every((statement) => statement.reads);
  return { root, statements, parameters: [...parameters], variables: [...variables], reads };
}

class NodeBuilder {
  readonly parameters = new Set<string>();
  readonly variables = new Set<string>();
  readonly statements: Statement[] = [];
  #variableCount = 0;

  node(node: QueryPlanNode, scope: Scope): Node {
    switch (node.type) {
      case 'query':
        return new QueryNode(this.#statement(node.args, scope));
      case 'execute':
        return new ExecuteNode(this.#statement(node.args, scope));
      case 'value':
        if (isRuntimeGenerator(node.args)) return new GeneratorNode(node.args);
        return new ValueNode(this.#argument(node.args, scope));
      case 'get':
        return new VariableNode(indexOf(node.args.name, scope));
      case 'getFirstNonEmpty':
        return new FirstNonEmptyNode(node.args.names.map((name) => indexOf(name, scope)));
      case 'unit':
        return UNIT;
      case 'transaction':
        return new TransactionNode(this.node(node.args, scope));
      case 'unique':
        return this.#map(node.args, scope, unique, (args) => ({ type: 'unique', args }));
      case 'required':
        return this.#map(node.args, scope, required, (args) => ({ type: 'required', args }));
      case 'reverse':
        return this.#map(unshared(node.args), scope, reversed, (args) => ({ type: 'reverse', args }));
      case 'validate': {
        const { args } = node;
        return new MapNode(
          this.node(args.expr, scope),
          (value) => validated(value, args.rules),
          (value) => ({ type: 'validate', args: { ...args, expr: valueNode(standIn(value)) } }),
        );
      }
      case 'mapField': {
        const { field } = node.args;
        return this.#map(
          node.args.records,
          scope,
          (value, run) => fieldValues(value, field, run),
          (records) => ({ type: 'mapField', args: { field, records } }),
        );
      }
      case 'process':
        return this.#process(node, scope);
      case 'seq':
        return this.#sequence(node.args, scope);
      case 'let':
        return this.#let(node, scope);
      case 'if': {
        const { value, rule, then, else: otherwise } = node.args;
        return new ChoiceNode(this.node(value, scope), rule, this.node(then, scope), this.node(otherwise, scope));
      }
      case 'join': {
        const children = node.args.children.map(({ child }) => this.node(child, scope));
        return new JoinNode(node.args, this.node(node.args.parent, scope), children);
      }
      case 'diff': {
        const { from, to, fields } = node.args;
        return new MapNode(
          this.#list([from, to], scope),
          (pair, run) => difference(pair, fields, run),
          (pair) => {
            const [left, right] = (pair as unknown[]).map((each) => valueNode(plainOf(each)));
            return { type: 'diff', args: { fields, from: left as QueryPlanNode, to: right as QueryPlanNode } };
          },
        );
      }
      case 'sum':
        return new MapNode(this.#list(node.args, scope), total, (values) => ({
          type: 'sum',
          args: valueNodes(values),
        }));
      case 'concat':
        return new MapNode(this.#list(node.args, scope), concatenated, (values) => ({
          type: 'concat',
          args: valueNodes(values),
        }));
      default:
        // initializeRecord and mapRecord are for databases without RETURNING. A dataMap stands only at the root.
        throw new NeedsRuntime();
    }
  }

  #map(
    of: QueryPlanNode,
    scope: Scope,
    work: (value: unknown, run: Run) => unknown,
    asPlanNode: (value: QueryPlanNode) => QueryPlanNode,
  ): Node {
    return new MapNode(this.node(of, scope), work, (value) => asPlanNode(valueNode(plainOf(value))));
  }

  #list(nodes: readonly QueryPlanNode[], scope: Scope): Node {
    return new ListNode(nodes.map((each) => this.node(each, scope)));
  }

  #statement(query: Extract<QueryPlanNode, { type: 'query' }>['args'], scope: Scope): Statement {
    const statement = new Statement(query, scope, this.parameters);
    this.statements.push(statement);
    return statement;
  }

  #argument(value: unknown, scope: Scope): Argument {
    return buildArgument(value, scope, this.parameters);
  }

  #sequence(nodes: readonly QueryPlanNode[], scope: Scope): Node {
    // The runtime's join changes its parents' records, which a variable may hold. Only the value of a sequence's last
    // node is held by no variable, so only the last node may be a join.
    const others = nodes.slice(0, -1);
    if (nodes.length === 0 || others.some((other) => JSON.stringify(other).includes('"type":"join"'))) {
      throw new NeedsRuntime();
    }
    return new SequenceNode(nodes.map((each) => this.node(each, scope)));
  }

  #let(node: Extract<QueryPlanNode, { type: 'let' }>, scope: Scope): Node {
    const inner = new Map(scope);
    const bindings = node.args.bindings.map(({ name, expr }) => {
      // A name that is bound again means another variable from here on.
      const value = this.node(expr, inner);
      const index = this.#variableCount++;
      inner.set(name, index);
      this.variables.add(name);
      return { index, node: value };
    });
    return new LetNode(bindings, this.node(node.args.expr, inner));
  }

  #process(node: Extract<QueryPlanNode, { type: 'process' }>, scope: Scope): Node {
    const { operations } = node.args;
    // Operations on nested records are left to the runtime.
    const cursors = new Map<InMemoryOps, readonly (readonly [string, Argument])[]>();
    this.#cursors(operations, scope, cursors);
    const { distinct, linkingFields, reverse, pagination } = operations;
    const own = cursors.get(operations);
    const isNested = Object.keys(operations.nested).length > 0;
    return new MapNode(
      this.node(unshared(node.args.expr), scope),
      (value, run) => {
        if (isNested) throw new NeedsRuntime();
        const cursor = own?.map(([name, argument]) => [name, argumentValue(argument, run)] as const) ?? null;
        const page = pagination === null ? null : { skip: pagination.skip, take: pagination.take, cursor };
        return processed(value, { distinct, linkingFields, reverse, pagination: null }, page, run);
      },
      (value, run) => ({
        type: 'process',
        args: { expr: valueNode(plainOf(value)), operations: withCursors(operations, cursors, run) },
      }),
    );
  }

  #cursors(
    operations: InMemoryOps,
    scope: Scope,
    found: Map<InMemoryOps, readonly (readonly [string, Argument])[]>,
  ): void {
    const cursor = operations.pagination?.cursor;
    if (cursor !== null && cursor !== undefined) {
      found.set(
        operations,
        Object.entries(cursor).map(([name, value]) => [name, this.#argument(value, scope)] as const),
      );
    }
    for (const nested of Object.values(operations.nested)) this.#cursors(nested, scope, found);
  }
}

type InMemoryOps = Extract<QueryPlanNode, { type: 'process' }>['args']['operations'];

/** The operations with the evaluated values of their cursors. */
function withCursors(
  operations: InMemoryOps,
  cursors: ReadonlyMap<InMemoryOps, readonly (readonly [string, Argument])[]>,
  run: Run,
): InMemoryOps {
  const { pagination, nested } = operations;
  const own = cursors.get(operations);
  return {
    ...operations,
    pagination:
      pagination === null || own === undefined
        ? pagination
        : {
            ...pagination,
            cursor: Object.fromEntries(own.map(([name, argument]) => [name, argumentValue(argument, run)])),
          },
    nested: Object.fromEntries(Object.entries(nested).map(([name, each]) => [name, withCursors(each, cursors, run)])),
  };
}

/**
 * A node whose records no variable holds: the runtime changes them in place. Throws `NeedsRuntime` for any other node.
 */
function unshared(node: QueryPlanNode): QueryPlanNode {
  switch (node.type) {
    case 'query':
    case 'join':
    case 'diff':
    case 'concat':
      return node;
    case 'process':
      unshared(node.args.expr);
      return node;
    default:
      throw new NeedsRuntime();
  }
}

function indexOf(name: string, scope: Scope): number {
  const index = scope.get(name);
  if (index === undefined) throw new NeedsRuntime();
  return index;
}

function valueNodes(values: unknown): QueryPlanNode[] {
  return (values as unknown[]).map((each) => valueNode(plainOf(each)));
}

/** Generators that the runtime evaluates, from arguments that are numbers. */
const RUNTIME_GENERATORS = new Set(['uuid', 'cuid', 'ulid', 'nanoid']);

function isRuntimeGenerator(value: unknown): value is PrismaValue {
  if (!isObject(value) || value.prisma__type !== 'generatorCall' || !isObject(value.prisma__value)) return false;
  const { name, args } = value.prisma__value;
  if (typeof name !== 'string' || !RUNTIME_GENERATORS.has(name) || !Array.isArray(args)) return false;
  return args.every((each) => typeof each === 'number') && !(name === 'uuid' && args[0] === 4);
}
