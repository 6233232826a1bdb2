import { describe, expect, it } from 'vitest';
import { withMemoryLimit } from './wasm-memory.ts';

/** (module (memory (export "m") 1)) */
const MODULE = Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0, 5, 3, 1, 0, 1, 7, 5, 1, 1, 109, 2, 0]);
const PAGE = 65_536;

async function memoryOf(bytes: Uint8Array): Promise<{ readonly buffer: ArrayBuffer; grow(pages: number): number }> {
  const instance = new WebAssembly.Instance(await WebAssembly.compile(bytes), {});
  return instance.exports.m as { buffer: ArrayBuffer; grow(pages: number): number };
}

describe('a module with a memory limit', () => {
  it('a module with a memory limit grows up to the limit and no further', async () => {
    const memory = await memoryOf(withMemoryLimit(MODULE, 300 * PAGE));
    memory.grow(299);
    expect(memory.buffer.byteLength).toBe(300 * PAGE);
    expect(() => memory.grow(1)).toThrow();
    (await memoryOf(MODULE)).grow(300);
  });

  it('a module with a memory limit never has less memory than the module starts with', async () => {
    expect((await memoryOf(withMemoryLimit(MODULE, 0))).buffer.byteLength).toBe(PAGE);
  });

  it('a module that has no memory of its own is refused', () => {
    expect(() => withMemoryLimit(Uint8Array.from([0, 97, 115, 109, 1, 0, 0, 0]), PAGE)).toThrow(/no memory/);
  });
});
