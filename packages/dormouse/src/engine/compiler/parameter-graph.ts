import { EdgeFlag, type InputEdgeData, type ParamGraphData, ScalarMask, scalarTypeToMask } from '@prisma/param-graph';
import type { InputField, InputType, InputTypeReference, Metadata, OutputField, OutputType } from './metadata.ts';

/**
 * Builds the parameter graph of a schema from its metadata. The graph tells Prisma's runtime which values of a query
 * may become parameters, so that queries of one shape share one plan.
 */
export function buildParameterGraph(metadata: Metadata): ParamGraphData {
  return new GraphBuilder(metadata).build();
}

class GraphBuilder {
  readonly #metadata: Metadata;
  readonly #inputTypes: ReadonlyMap<string, InputType>;
  readonly #outputTypes: ReadonlyMap<string, OutputType>;
  readonly #data: ParamGraphData = { strings: [], inputNodes: [], outputNodes: [], roots: {} };
  readonly #stringIndex = new Map<string, number>();
  /** The node of each set of input types that a field accepts. */
  readonly #inputNodes = new Map<string, number>();
  /** The node of each output type. */
  readonly #outputNodes = new Map<string, number>();
  /** Adds the edges of nodes that have none yet. Edges are added last, because types refer to each other in cycles. */
  readonly #unfinished: (() => void)[] = [];

  constructor(metadata: Metadata) {
    this.#metadata = metadata;
    this.#inputTypes = byQualifiedName(metadata.schema.inputObjectTypes);
    this.#outputTypes = byQualifiedName(metadata.schema.outputObjectTypes);
  }

  build(): ParamGraphData {
    const roots = new Map<string, OutputField>();
    for (const name of ['prisma.Query', 'prisma.Mutation']) {
      for (const field of this.#outputTypes.get(name)?.fields ?? []) roots.set(field.name, field);
    }
    for (const { model, ...operations } of this.#metadata.mappings.modelOperations) {
      for (const [action, rootName] of Object.entries(operations)) {
        const root = typeof rootName === 'string' ? roots.get(rootName) : undefined;
        if (root !== undefined) this.#data.roots[`${model}.${action}`] = this.#selection(root);
      }
    }
    for (let finish = this.#unfinished.pop(); finish !== undefined; finish = this.#unfinished.pop()) finish();
    return this.#data;
  }

  #selection(field: OutputField): { argsNodeId?: number; outputNodeId?: number } {
    const { type, namespace, location } = field.outputType;
    const argsNodeId = field.args.length === 0 ? undefined : this.#node(field.args);
    const outputNodeId = location === 'outputObjectTypes' ? this.#outputNode(qualified(type, namespace)) : undefined;
    return {
      ...(argsNodeId === undefined ? {} : { argsNodeId }),
      ...(outputNodeId === undefined ? {} : { outputNodeId }),
    };
  }

  #outputNode(name: string): number | undefined {
    const known = this.#outputNodes.get(name);
    if (known !== undefined) return known;
    const type = this.#outputTypes.get(name);
    if (type === undefined) return undefined;
    const edges: Record<number, { argsNodeId?: number; outputNodeId?: number }> = {};
    const id = this.#data.outputNodes.push({ edges }) - 1;
    this.#outputNodes.set(name, id);
    this.#unfinished.push(() => {
      for (const field of type.fields) {
        const edge = this.#selection(field);
        if (edge.argsNodeId !== undefined || edge.outputNodeId !== undefined) edges[this.#string(field.name)] = edge;
      }
    });
    return id;
  }

  /** A new node for a list of arguments. Nothing else uses the node. */
  #node(fields: readonly InputField[]): number {
    const edges: Record<number, InputEdgeData> = {};
    const id = this.#data.inputNodes.push({ edges }) - 1;
    this.#unfinished.push(() => this.#fill(edges, fields));
    return id;
  }

  /** The node for the input types that a field accepts. A value may be of any of these types. */
  #inputNode(names: readonly string[]): number | undefined {
    const key = [...new Set(names)].sort().join('|');
    const known = this.#inputNodes.get(key);
    if (known !== undefined) return known;
    const types = key.split('|').flatMap((name) => this.#inputTypes.get(name) ?? []);
    if (types.length === 0) return undefined;
    const id = this.#node(types.flatMap((type) => type.fields));
    this.#inputNodes.set(key, id);
    return id;
  }

  #fill(edges: Record<number, InputEdgeData>, fields: readonly InputField[]): void {
    const byName = new Map<string, InputField[]>();
    for (const field of fields) {
      const variants = byName.get(field.name);
      if (variants === undefined) byName.set(field.name, [field]);
      else variants.push(field);
    }
    for (const [name, variants] of byName) {
      const edge = this.#edge(variants);
      if (edge !== undefined) edges[this.#string(name)] = edge;
    }
  }

  /**
   * The edge of a field, from all of its variants. Undefined if no value in the field or below it may be a parameter.
   */
  #edge(variants: readonly InputField[]): InputEdgeData | undefined {
    const parameters = variants.filter((field) => field.isParameterizable).flatMap((field) => field.inputTypes);
    const scalars = parameters.filter((type) => type.location === 'scalar');
    const enumerations = parameters.filter((type) => type.location === 'enumTypes' && type.namespace === 'model');
    // A field may accept one enum value or a list of them (`push`). The runtime would make a parameter of a list with
    // the schema's names of the values instead of the database's. So these values stay in the query, and the compiler
    // translates them.
    const eitherForm = new Set(enumerations.map((type) => type.isList)).size > 1;
    const enumeration = eitherForm ? undefined : enumerations[0];
    const objects = variants
      .flatMap((field) => field.inputTypes)
      .filter((type) => type.location === 'inputObjectTypes');

    let flags = 0;
    let scalarMask = 0;
    for (const scalar of scalars) {
      flags |= scalar.isList ? EdgeFlag.ParamListScalar : EdgeFlag.ParamScalar;
      scalarMask |= scalarTypeToMask(scalar.type);
    }
    if (enumeration !== undefined) flags |= enumeration.isList ? EdgeFlag.ParamListEnum : EdgeFlag.ParamEnum;
    // A field that accepts an enum or a string: strings stay in the query, so that the shape of a query does not depend
    // on whether a string happens to be a value of the enum.
    if (enumeration !== undefined) scalarMask &= ~ScalarMask.String;
    // For a list of JSON values, the runtime would take an object or a single value for an element.
    const json = scalars.filter((type) => type.type === 'Json');
    if (json.length > 0 && json.every((type) => type.isList)) scalarMask &= ~ScalarMask.Json;
    for (const object of objects) flags |= object.isList ? EdgeFlag.ListObject : EdgeFlag.Object;
    if (flags === 0) return undefined;

    const childNodeId = objects.length === 0 ? undefined : this.#inputNode(objects.map(qualifiedReference));
    return {
      flags,
      ...(childNodeId === undefined ? {} : { childNodeId }),
      ...(scalarMask === 0 ? {} : { scalarMask }),
      ...(enumeration === undefined ? {} : { enumNameIndex: this.#string(enumeration.type) }),
    };
  }

  #string(text: string): number {
    let index = this.#stringIndex.get(text);
    if (index === undefined) {
      index = this.#data.strings.push(text) - 1;
      this.#stringIndex.set(text, index);
    }
    return index;
  }
}

function qualified(type: string, namespace: string | undefined): string {
  return namespace === undefined ? type : `${namespace}.${type}`;
}

function qualifiedReference({ type, namespace }: InputTypeReference): string {
  return qualified(type, namespace);
}

function byQualifiedName<T extends { readonly name: string }>(
  namespaces: Readonly<Partial<Record<string, readonly T[]>>>,
): Map<string, T> {
  const types = new Map<string, T>();
  for (const [namespace, members] of Object.entries(namespaces)) {
    for (const member of members ?? []) types.set(qualified(member.name, namespace), member);
  }
  return types;
}
