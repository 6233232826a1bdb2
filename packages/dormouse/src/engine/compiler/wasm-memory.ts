import { assert } from '../../base/index.ts';

const HEADER_BYTES = 8;
const MEMORY_SECTION = 5;
const PAGE_BYTES = 65_536;

/**
 * A copy of a WebAssembly module whose memory cannot grow beyond `bytesMax`. Rust builds modules without a maximum, so
 * that one job could take 4 GiB. A module that needs more memory traps. (WebAssembly core specification 5.5, binary
 * modules.)
 */
export function withMemoryLimit(module: Uint8Array, bytesMax: number): Uint8Array {
  let at = HEADER_BYTES;
  while (at < module.length) {
    const start = at;
    const id = module[at++];
    const size = readUnsigned(module, at);
    const content = size.next;
    const end = content + size.value;
    if (id === MEMORY_SECTION) {
      const section = memorySection(module.subarray(content, end), Math.floor(bytesMax / PAGE_BYTES));
      return Buffer.concat([module.subarray(0, start), section, module.subarray(end)]);
    }
    at = end;
  }
  throw new Error('the WebAssembly module has no memory of its own');
}

function memorySection(content: Uint8Array, pagesMax: number): Uint8Array {
  const count = readUnsigned(content, 0);
  assert(count.value === 1, 'a module has one memory');
  // Flag bit 0: a maximum follows the minimum.
  const pagesMin = readUnsigned(content, count.next + 1).value;
  const body = [1, 1, ...unsigned(pagesMin), ...unsigned(Math.max(pagesMin, pagesMax))];
  return Uint8Array.from([MEMORY_SECTION, ...unsigned(body.length), ...body]);
}

/** Reads an unsigned LEB128 integer. */
function readUnsigned(bytes: Uint8Array, from: number): { readonly value: number; readonly next: number } {
  let value = 0;
  let at = from;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++];
    assert(byte !== undefined && shift < 35, 'an integer of a WebAssembly module ends');
    value += (byte & 0x7f) * 2 ** shift;
    if (byte < 0x80) return { value, next: at };
  }
}

function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const low = rest % 128;
    rest = Math.floor(rest / 128);
    bytes.push(rest > 0 ? low | 0x80 : low);
  } while (rest > 0);
  return bytes;
}
