import type { InputField, InputType, InputTypeReference, Metadata, OutputType } from './metadata.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
/** Most levels of nesting above a list that is read. */
const PATH_DEPTH_MAX = 4;

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/**
 * Reads the parts of a schema's metadata that the engine needs, from pieces of its JSON text. The metadata of an
 * application with 300 models has 90 MB, and would take ten times that if it were parsed at once. So one element of a
 * list is parsed at a time, only the members that the engine needs are kept, and equal members are kept once.
 */
export function readMetadata(json: Iterable<Uint8Array>): Metadata {
  const enums: Metadata['datamodel']['enums'][number][] = [];
  const operations: Metadata['mappings']['modelOperations'][number][] = [];
  const inputTypes: Mutable<Record<string, InputType[]>> = {};
  const outputTypes: Mutable<Record<string, OutputType[]>> = {};
  const unique = new UniqueValues();
  eachElement(json, (path, text) => {
    const [part, list, namespace = ''] = path;
    if (part === 'datamodel' && list === 'enums') {
      enums.push(JSON.parse(text()));
    } else if (part === 'mappings' && list === 'modelOperations') {
      operations.push(JSON.parse(text()));
    } else if (part === 'schema' && list === 'inputObjectTypes') {
      inputTypes[namespace] ??= [];
      inputTypes[namespace].push(unique.inputType(JSON.parse(text())));
    } else if (part === 'schema' && list === 'outputObjectTypes') {
      outputTypes[namespace] ??= [];
      outputTypes[namespace].push(unique.outputType(JSON.parse(text())));
    }
  });
  return {
    datamodel: { enums },
    schema: { inputObjectTypes: inputTypes, outputObjectTypes: outputTypes },
    mappings: { modelOperations: operations },
  };
}

/**
 * Calls `take` with each object in a list, and the path of names to this list. Lists within lists or within elements
 * are not visited. The element's text is decoded only if `take` calls `text`.
 */
function eachElement(json: Iterable<Uint8Array>, take: (path: readonly string[], text: () => string) => void): void {
  const names: string[] = [];
  const lists: boolean[] = [];
  let depth = 0;
  let inString = false;
  let escaped = false;
  /** The bytes in earlier pieces of the current element, or of the current string, which may be a name. */
  let before: Uint8Array[] = [];
  /** The offset in this piece at which the element or string begins; -1 if there is none. */
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

/** The values that were kept so far, so that equal values are kept once. */
class UniqueValues {
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
