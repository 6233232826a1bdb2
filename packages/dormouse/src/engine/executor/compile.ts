import type { PrismaValue, QueryPlanNode } from '@prisma/client-engine-runtime';
import { isObject } from '../request-body.ts';
import { type Argument, argumentValue, compileArgument, type Scope } from './argument.ts';
import {
  ExecuteNode,
  fieldValues,
  GeneratorNode,
  JoinNode,
  LetNode,
  MapNode,
  type Node,
  processed,
  QueryNode,
  required,
  reversed,
  SequenceNode,
  UNIT,
  unique,
  ValueNode,
  VariableNode,
  validated,
} from './nodes.ts';
import { NotCovered } from './not-covered.ts';
import { Statement } from './statement.ts';

/** A tree of nodes, ready to run. */
export interface Program {
  readonly root: Node;
  /** Parameters that it binds. */
  readonly parameters: readonly string[];
  /** Names of its own variables, which a parameter must not have. */
  readonly variables: readonly string[];
  /** Whether all that it does may be done twice: it reads, and nothing else. */
  readonly repeatable: boolean;
  readonly statements: number;
}

/** Compiles the part of a plan below its data map. Throws `NotCovered`. */
export function compileNodes(plan: QueryPlanNode): Program {
  const compiler = new NodeCompiler();
  const root = compiler.node(plan, new Map());
  const { statements, generates } = compiler;
  const reads = statements.every((statement) => statement.reads);
  // What writes must be a single statement, so that its one result stands for all that was done.
  if (statements.length === 0 || (statements.length > 1 && (!reads || generates))) throw new NotCovered();
  return {
    root,
    parameters: [...compiler.parameters],
    variables: [...compiler.variables],
    repeatable: statements.length > 1,
    statements: statements.length,
  };
}

class NodeCompiler {
  readonly parameters = new Set<string>();
  readonly variables = new Set<string>();
  readonly statements: Statement[] = [];
  generates = false;
  #variableCount = 0;

  node(node: QueryPlanNode, scope: Scope): Node {
    switch (node.type) {
      case 'query':
        return new QueryNode(this.#statement(node.args, scope));
      case 'execute':
        return new ExecuteNode(this.#statement(node.args, scope));
      case 'value':
        if (isForeignGenerator(node.args)) {
          this.generates = true;
          return new GeneratorNode(node.args);
        }
        return new ValueNode(this.#argument(node.args, scope));
      case 'get': {
        const index = scope.get(node.args.name);
        if (index === undefined) throw new NotCovered();
        return new VariableNode(index);
      }
      case 'unit':
        return UNIT;
      case 'unique':
        return new MapNode(this.node(node.args, scope), unique);
      case 'required':
        return new MapNode(this.node(node.args, scope), required);
      case 'reverse':
        return new MapNode(this.#fresh(node.args, scope), reversed);
      case 'validate': {
        const { rules } = node.args;
        return new MapNode(this.node(node.args.expr, scope), (value) => validated(value, rules));
      }
      case 'mapField': {
        const { field } = node.args;
        return new MapNode(this.node(node.args.records, scope), (value) => fieldValues(value, field));
      }
      case 'process':
        return this.#process(node, scope);
      case 'seq': {
        // A join writes into records that a variable may name: only the last of a sequence can be one.
        const [last, ...others] = [...node.args].reverse();
        if (last === undefined || others.some((other) => JSON.stringify(other).includes('"type":"join"'))) {
          throw new NotCovered();
        }
        return new SequenceNode(node.args.map((each) => this.node(each, scope)));
      }
      case 'let':
        return this.#let(node, scope);
      case 'join':
        return new JoinNode(
          this.node(node.args.parent, scope),
          node.args.children.map(({ child, on, parentField, isRelationUnique }) => ({
            node: this.node(child, scope),
            name: parentField,
            on,
            single: isRelationUnique,
          })),
        );
      default:
        throw new NotCovered();
    }
  }

  /** A node whose records nobody else holds: the runtime changes them in place. */
  #fresh(node: QueryPlanNode, scope: Scope): Node {
    if (node.type !== 'query') throw new NotCovered();
    return this.node(node, scope);
  }

  #statement(query: Extract<QueryPlanNode, { type: 'query' }>['args'], scope: Scope): Statement {
    const statement = new Statement(query, scope, this.parameters);
    this.statements.push(statement);
    if (query.args.some((each) => JSON.stringify(each ?? null).includes('"generatorCall"'))) this.generates = true;
    return statement;
  }

  #argument(value: unknown, scope: Scope): Argument {
    if (JSON.stringify(value ?? null).includes('"generatorCall"')) this.generates = true;
    return compileArgument(value, scope, this.parameters);
  }

  #let(node: Extract<QueryPlanNode, { type: 'let' }>, scope: Scope): Node {
    const inner = new Map(scope);
    const bindings = node.args.bindings.map(({ name, expr }) => {
      // A name that is bound again is another variable from here on.
      const compiled = this.node(expr, inner);
      const index = this.#variableCount++;
      inner.set(name, index);
      this.variables.add(name);
      return { index, node: compiled };
    });
    return new LetNode(bindings, this.node(node.args.expr, inner));
  }

  #process(node: Extract<QueryPlanNode, { type: 'process' }>, scope: Scope): Node {
    const { operations } = node.args;
    if (Object.keys(operations.nested).length > 0) throw new NotCovered();
    const { distinct, linkingFields, reverse, pagination } = operations;
    const cursor = Object.entries(pagination?.cursor ?? {}).map(
      ([name, value]) => [name, this.#argument(value, scope)] as const,
    );
    const hasCursor = pagination?.cursor !== null && pagination?.cursor !== undefined;
    return new MapNode(this.#fresh(node.args.expr, scope), (value, run) =>
      processed(
        value,
        { distinct, linkingFields, reverse, pagination: null },
        pagination === null
          ? null
          : {
              skip: pagination.skip,
              take: pagination.take,
              cursor: hasCursor
                ? cursor.map(([name, argument]) => [name, argumentValue(argument, run)] as const)
                : null,
            },
      ),
    );
  }
}

/** Generators whose arguments are plain and whose value is made by the runtime. */
const FOREIGN = new Set(['uuid', 'cuid', 'ulid', 'nanoid']);

function isForeignGenerator(value: unknown): value is PrismaValue {
  if (!isObject(value) || value.prisma__type !== 'generatorCall' || !isObject(value.prisma__value)) return false;
  const { name, args } = value.prisma__value;
  if (typeof name !== 'string' || !FOREIGN.has(name) || !Array.isArray(args)) return false;
  return args.every((each) => typeof each === 'number') && !(name === 'uuid' && args[0] === 4);
}
