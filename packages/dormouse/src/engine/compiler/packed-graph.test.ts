import { createRequire } from 'node:module';
import { ParamGraph, type ParamGraphData } from '@prisma/param-graph';
import { describe, expect, it } from 'vitest';
import type { Metadata } from './metadata.ts';
import { readMetadata } from './metadata-reader.ts';
import { graphBytes, openGraph, packGraph } from './packed-graph.ts';
import { buildParameterGraph } from './parameter-graph.ts';

const SCHEMA = `
datasource db {
  provider = "postgresql"
}
enum Role {
  USER
  ADMIN @map("a\\"dm[i]n{")
}
/// A comment with "quotes", [brackets] and \\ backslashes.
model User {
  id     Int      @id @default(autoincrement()) /// "}"
  email  String   @unique @default("a \\"quoted\\" {default]")
  role   Role     @default(USER)
  roles  Role[]
  data   Json?
  price  Decimal?
  at     DateTime @default(now())
  posts  Post[]
  @@unique([email, role])
}
model Post {
  id     Int    @id
  tags   String[]
  author User?  @relation(fields: [userId], references: [id])
  userId Int?
}
`;

const { get_dmmf } = createRequire(import.meta.url)('@prisma/prisma-schema-wasm') as {
  get_dmmf(parameters: string): string;
};
const text = get_dmmf(JSON.stringify({ prismaSchema: [['a.prisma', SCHEMA]] }));
const whole = JSON.parse(text) as Metadata;

describe('the metadata of a schema', () => {
  it('the metadata of a schema gives the same graph whether read by elements or parsed at once', () => {
    const read = readMetadata([Buffer.from(text)]);
    expect(read.datamodel.enums).toEqual(whole.datamodel.enums);
    expect(read.mappings.modelOperations).toEqual(whole.mappings.modelOperations);
    const graph = buildParameterGraph(read);
    expect(graph).toEqual(buildParameterGraph(whole));
    expect(graph.inputNodes.length).toBeGreaterThan(100);
  });

  it('the metadata of a schema may come in pieces of any size', () => {
    const bytes = Buffer.from(text);
    const pieces = function* (size: number): Generator<Uint8Array> {
      for (let at = 0; at < bytes.length; at += size) yield new Uint8Array(bytes.subarray(at, at + size));
    };
    const once = readMetadata([bytes]);
    for (const size of [1, 2, 7, 1000, 4096]) expect(readMetadata(pieces(size))).toEqual(once);
  });

  it('metadata that is cut off is refused', () => {
    expect(() => readMetadata([Buffer.from(text.slice(0, text.lastIndexOf('"')))])).toThrow('ends in a string');
  });
});

describe('a packed graph', () => {
  const data = buildParameterGraph(whole);
  const lookup = (name: string) => (name === 'Role' ? { USER: 'USER', ADMIN: 'admin' } : undefined);

  it('a packed graph answers like the graph that was packed', () => {
    // A packed graph comes from another thread.
    const packed = openGraph(structuredClone(packGraph(data)), lookup);
    const graph = ParamGraph.fromData(data, lookup);
    for (const key of [...Object.keys(data.roots), 'Nobody.findMany']) {
      expect(packed.root(key)).toEqual(graph.root(key));
    }
    const names = [...data.strings, 'nobody', '__proto__'];
    expect(every(packed, data, names)).toEqual(every(graph, data, names));
    expect(packed.inputNode(undefined)).toBeUndefined();
    expect(packed.inputNode(data.inputNodes.length)).toBeUndefined();
    expect(packed.outputNode(-1)).toBeUndefined();
  });

  it('a packed graph estimates how much memory the graph takes', () => {
    const edges = data.inputNodes.reduce((sum, node) => sum + Object.keys(node.edges).length, 0);
    expect(graphBytes(packGraph(data))).toBeGreaterThan(edges * 20);
  });
});

/** Everything that a graph says about its nodes. */
function every(graph: ParamGraph, data: ParamGraphData, names: readonly string[]): unknown[] {
  const said: unknown[] = [];
  for (const id of [...data.inputNodes.keys(), data.inputNodes.length]) {
    const node = graph.inputNode(id);
    for (const name of names) {
      const edge = graph.inputEdge(node, name);
      if (edge !== undefined) said.push(id, name, edge, graph.enumValues(edge));
    }
  }
  for (const id of [...data.outputNodes.keys(), data.outputNodes.length]) {
    const node = graph.outputNode(id);
    for (const name of names) said.push(graph.outputEdge(node, name));
  }
  return said;
}
