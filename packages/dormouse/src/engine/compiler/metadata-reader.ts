import type { InputField, InputType, InputTypeReference, Metadata, OutputType } from './metadata.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** Lists that are read lie no deeper. */
const PATH_DEPTH_MAX = 4;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Reads what the engine needs of a schema's metadata, which comes in pieces. That of an application of 300 models has
 * 90 MB, and parsed at once would be ten times that: it is read an element at a time, of which only the needed members
 * are kept, equal ones once.
 */
export function readMetadata(json: Iterable<Uint8Array>): Metadata {
  const enums: Metadata['datamodel']['enums'][number][] = [];
  const operations: Metadata['mappings']['modelOperations'][number][] = [];
  const inputTypes: Mutable<Record<string, InputType[]>> = {};
  const outputTypes: Mutable<Record<string, OutputType[]>> = {};
  const kept = new Kept();
  eachElement(json, (path, text) => {
    const [part, list, namespace = ''] = path;
    if (part === 'datamodel' && list === 'enums') {
      enums.push(JSON.parse(text()));
    } else if (part === 'mappings' && list === 'modelOperations') {
      operations.push(JSON.parse(text()));
    } else if (part === 'schema' && list === 'inputObjectTypes') {
      inputTypes[namespace] ??= [];
      inputTypes[namespace].push(kept.inputType(JSON.parse(text())));
    } else if (part === 'schema' && list === 'outputObjectTypes') {
      outputTypes[namespace] ??= [];
      outputTypes[namespace].push(kept.outputType(JSON.parse(text())));
    }
  });
  return {
    datamodel: { enums },
    schema: { inputObjectTypes: inputTypes, outputObjectTypes: outputTypes },
    mappings: { modelOperations: operations },
  };
}

/** Calls `take` with each object in a list that is reached by names alone. The text is made when it is asked for. */
function eachElement(json: Iterable<Uint8Array>, take: (path: readonly string[], text: () => string) => void): void {
  const names: string[] = [];
  const lists: boolean[] = [];
  let depth = 0;
  let inString = false;
  let escaped = false;
  /** Of the element, or of the string that may be a name: what of it was in the pieces before. */
  let before: Uint8Array[] = [];
  /** Where it begins in this piece; -1 while there is none. */
  let start = -1;
  let element = false;
  let elementDepth = 0;
  let name: string | undefined;
  for (const piece of json) {
    const bytes = Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength);
    const textUpTo = (end: number): string => {
      const last = bytes.subarray(start, end);
      return before.length === 0 ? last.toString('utf8') : Buffer.concat([...before, last]).toString('utf8');
    };
    if (start >= 0) start = 0;
    for (let at = 0; at < bytes.length; at++) {
      const byte = bytes[at];
      if (inString) {
        if (escaped) escaped = false;
        else if (byte === BACKSLASH) escaped = true;
        else if (byte === QUOTE) {
          inString = false;
          if (start >= 0 && !element) {
            name = textUpTo(at);
            start = -1;
            before = [];
          }
        }
        continue;
      }
      switch (byte) {
        case QUOTE:
          inString = true;
          if (!element && depth <= PATH_DEPTH_MAX) start = at + 1;
          break;
        case COLON:
          if (!element && name !== undefined) names[depth] = name;
          name = undefined;
          break;
        case OPEN_OBJECT:
        case OPEN_LIST:
          if (!element && byte === OPEN_OBJECT && lists[depth] === true) {
            element = true;
            start = at;
            elementDepth = depth;
          }
          depth++;
          lists[depth] = byte === OPEN_LIST;
          break;
        case CLOSE_OBJECT:
        case CLOSE_LIST:
          depth--;
          if (element && depth === elementDepth) {
            take(names.slice(1, depth), () => textUpTo(at + 1));
            element = false;
            start = -1;
            before = [];
          }
          break;
      }
    }
    if (start >= 0) before.push(bytes.subarray(start));
  }
  if (inString) throw new Error('the metadata ends in a string');
}

/** What is held already, so that what is equal is held once. */
class Kept {
  readonly #names = new Map<string, string>();
  readonly #references = new Map<string, readonly InputTypeReference[]>();

  inputType({ name, fields }: InputType): InputType {
    return { name, fields: fields.map((field) => this.#field(field)) };
  }

  outputType({ name, fields }: OutputType): OutputType {
    return {
      name,
      fields: fields.map(({ name, args, outputType: { type, namespace, location } }) => ({
        name: this.#name(name),
        args: args.map((field) => this.#field(field)),
        outputType: { type: this.#name(type), location, ...(namespace === undefined ? {} : { namespace }) },
      })),
    };
  }

  #field({ name, inputTypes, isParameterizable }: InputField): InputField {
    const key = JSON.stringify(inputTypes);
    let references = this.#references.get(key);
    if (references === undefined) {
      references = inputTypes;
      this.#references.set(key, references);
    }
    return { name: this.#name(name), inputTypes: references, isParameterizable };
  }

  #name(name: string): string {
    const known = this.#names.get(name);
    if (known !== undefined) return known;
    this.#names.set(name, name);
    return name;
  }
}
