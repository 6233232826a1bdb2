import { EdgeFlag, type InputEdgeData, type ParamGraphData, ScalarMask, scalarTypeToMask } from '@prisma/param-graph';
import type { InputField, InputType, InputTypeReference, Metadata, OutputField, OutputType } from './metadata.ts';

/**
 * Builds the graph that tells Prisma's runtime which values of a query may be taken out as parameters, from a schema's
 * metadata. Queries of one shape then share one plan.
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
  /** Node of each set of input types that a field accepts, and of each output type. */
  readonly #inputNodes = new Map<string, number>();
  readonly #outputNodes = new Map<string, number>();
  /** Nodes that have a number but no edges yet: types refer to each other in cycles, so edges wait. */
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

  /** A node for a list of arguments, which no other place shares. */
  #node(fields: readonly InputField[]): number {
    const edges: Record<number, InputEdgeData> = {};
    const id = this.#data.inputNodes.push({ edges }) - 1;
    this.#unfinished.push(() => this.#fill(edges, fields));
    return id;
  }

  /** The node of the input types that one field accepts: with several, a value may be of any of them. */
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

  /** What a field accepts, by all of its variants together; undefined if nothing in or under it can be a parameter. */
  #edge(variants: readonly InputField[]): InputEdgeData | undefined {
    const parameters = variants.filter((field) => field.isParameterizable).flatMap((field) => field.inputTypes);
    const scalars = parameters.filter((type) => type.location === 'scalar');
    const enumerations = parameters.filter((type) => type.location === 'enumTypes' && type.namespace === 'model');
    // Where one value or a list may stand (`push`), the runtime would take a list out with the names of the schema in
    // place of the database's: its values stay in the query, where the compiler translates them.
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
    // Whether a text is one of an enum's values must not decide how it is taken out: beside an enum, other texts stay.
    if (enumeration !== undefined) scalarMask &= ~ScalarMask.String;
    // The runtime takes an object, or one value, for the JSON that a list is of.
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
