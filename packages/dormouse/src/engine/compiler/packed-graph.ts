import type {
  EnumLookup,
  InputEdge,
  InputNode,
  OutputEdge,
  OutputNode,
  ParamGraph,
  ParamGraphData,
  RootEntry,
} from '@prisma/param-graph';

/**
 * A parameter graph in a few flat arrays. As objects, the graph of 1000 models would block the main thread for a second
 * when it is received from the worker thread, and would take ten times the memory.
 */
export interface PackedGraph {
  readonly strings: readonly string[];
  /** `Model.action`, in the order of `roots`. */
  readonly rootNames: readonly string[];
  /** Two numbers per root: the node of its arguments and the node of its output; -1 for none. */
  readonly roots: Int32Array;
  /** For each input node, the index of its first edge; one more number than there are nodes. */
  readonly inputs: Int32Array;
  /**
   * Five numbers per edge: name, flags, child (-1 for none), scalar mask, name of the enum (-1 for none). The edges of
   * a node are sorted by name.
   */
  readonly inputEdges: Int32Array;
  readonly outputs: Int32Array;
  /** Three numbers per edge: name, node of the arguments, node of the output. */
  readonly outputEdges: Int32Array;
}

const INPUT_WIDTH = 5;
const OUTPUT_WIDTH = 3;

/** Packs a parameter graph. */
export function packGraph({ strings, inputNodes, outputNodes, roots }: ParamGraphData): PackedGraph {
  const rootNames = Object.keys(roots);
  return {
    strings,
    rootNames,
    roots: Int32Array.from(rootNames.flatMap((name) => nodesOf(roots[name]))),
    ...pack('inputs', 'inputEdges', inputNodes, (edge) => [
      edge.flags,
      edge.childNodeId ?? -1,
      edge.scalarMask ?? 0,
      edge.enumNameIndex ?? -1,
    ]),
    ...pack('outputs', 'outputEdges', outputNodes, nodesOf),
  };
}

function nodesOf(entry: RootEntry | { argsNodeId?: number; outputNodeId?: number } | undefined): number[] {
  return [entry?.argsNodeId ?? -1, entry?.outputNodeId ?? -1];
}

function pack<Edge, Begins extends string, Edges extends string>(
  begins: Begins,
  edges: Edges,
  nodes: readonly { readonly edges: Readonly<Record<number, Edge>> }[],
  numbers: (edge: Edge) => readonly number[],
): Record<Begins | Edges, Int32Array> {
  const starts = [0];
  const flat: number[] = [];
  let count = 0;
  for (const node of nodes) {
    // JavaScript gives integer keys in ascending order, so the edges are sorted.
    for (const [name, edge] of Object.entries(node.edges)) {
      flat.push(Number(name), ...numbers(edge));
      count++;
    }
    starts.push(count);
  }
  return { [begins]: Int32Array.from(starts), [edges]: Int32Array.from(flat) } as Record<Begins | Edges, Int32Array>;
}

/** The memory of a packed graph in bytes, by estimate. */
export function graphBytes({
  strings,
  rootNames,
  roots,
  inputs,
  inputEdges,
  outputs,
  outputEdges,
}: PackedGraph): number {
  const arrays = [roots, inputs, inputEdges, outputs, outputEdges];
  // 100 bytes per name: the string and its entry in a map.
  return arrays.reduce((sum, each) => sum + each.byteLength, 0) + (strings.length + rootNames.length) * 100;
}

/** A packed graph with the interface that Prisma's runtime uses. */
export function openGraph(packed: PackedGraph, enumLookup: EnumLookup): ParamGraph {
  // The runtime calls only the methods of OpenGraph. The runtime's own class can be built from objects only.
  return new OpenGraph(packed, enumLookup) as unknown as ParamGraph;
}

class OpenGraph implements Omit<ParamGraph, never> {
  readonly #packed: PackedGraph;
  readonly #enumLookup: EnumLookup;
  readonly #names: ReadonlyMap<string, number>;
  readonly #roots: ReadonlyMap<string, number>;

  constructor(packed: PackedGraph, enumLookup: EnumLookup) {
    this.#packed = packed;
    this.#enumLookup = enumLookup;
    this.#names = new Map(packed.strings.map((name, index) => [name, index]));
    this.#roots = new Map(packed.rootNames.map((name, index) => [name, index]));
  }

  root(key: string): RootEntry | undefined {
    const index = this.#roots.get(key);
    return index === undefined ? undefined : entryAt(this.#packed.roots, index * 2);
  }

  inputNode(id: number | undefined): InputNode | undefined {
    return nodeOf(id, this.#packed.inputs);
  }

  outputNode(id: number | undefined): OutputNode | undefined {
    return nodeOf(id, this.#packed.outputs);
  }

  inputEdge(node: InputNode | undefined, fieldName: string): InputEdge | undefined {
    const { inputs, inputEdges } = this.#packed;
    const at = this.#find(inputs, inputEdges, INPUT_WIDTH, node, fieldName);
    if (at < 0) return undefined;
    return {
      flags: inputEdges[at + 1] as number,
      childNodeId: present(inputEdges[at + 2]),
      scalarMask: inputEdges[at + 3] as number,
      enumNameIndex: present(inputEdges[at + 4]),
    };
  }

  outputEdge(node: OutputNode | undefined, fieldName: string): OutputEdge | undefined {
    const { outputs, outputEdges } = this.#packed;
    const at = this.#find(outputs, outputEdges, OUTPUT_WIDTH, node, fieldName);
    return at < 0 ? undefined : entryAt(outputEdges, at + 1);
  }

  enumValues(edge: InputEdge | undefined): ReturnType<EnumLookup> {
    const name = edge?.enumNameIndex === undefined ? undefined : this.#packed.strings[edge.enumNameIndex];
    return name === undefined ? undefined : this.#enumLookup(name);
  }

  getString(index: number): string | undefined {
    return this.#packed.strings[index];
  }

  /** The index of the edge with a name, by binary search; -1 for none. */
  #find(begins: Int32Array, edges: Int32Array, width: number, node: { id: number } | undefined, name: string): number {
    const wanted = this.#names.get(name);
    if (node === undefined || wanted === undefined) return -1;
    let low = begins[node.id] as number;
    let high = (begins[node.id + 1] as number) - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      const found = edges[middle * width] as number;
      if (found === wanted) return middle * width;
      if (found < wanted) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }
}

function entryAt(numbers: Int32Array, at: number): RootEntry {
  return { argsNodeId: present(numbers[at]), outputNodeId: present(numbers[at + 1]) };
}

function nodeOf(id: number | undefined, begins: Int32Array): { readonly id: number } | undefined {
  return id === undefined || id < 0 || id >= begins.length - 1 ? undefined : { id };
}

function present(number: number | undefined): number | undefined {
  return number === undefined || number < 0 ? undefined : number;
}
