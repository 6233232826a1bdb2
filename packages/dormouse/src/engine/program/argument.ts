import type { ArgType } from '@prisma/driver-adapter-utils';
import type { ParameterValue } from '../../pool/index.ts';
import { ELEMENTS_MAX, productTooLarge } from '../prisma-runtime/index.ts';
import { isObject } from '../request/index.ts';
import { encodeArgument } from '../statements/index.ts';
import { NeedsRuntime } from './needs-runtime.ts';
import { plainOf, RecordSet } from './records/index.ts';
import type { Run } from './run.ts';

/**
 * For each variable of a plan, its index in `Run.variables`. An inner scope contains the variables of outer scopes.
 */
export type Scope = ReadonlyMap<string, number>;

/** A value of a plan, as it is computed in each run. */
export type Argument =
  | { readonly kind: 'constant'; readonly value: unknown }
  | { readonly kind: 'parameter'; readonly name: string; readonly isInstant: boolean }
  | { readonly kind: 'variable'; readonly name: string; readonly index: number; readonly isInstant: boolean }
  | { readonly kind: 'now' }
  | { readonly kind: 'uuid' }
  | { readonly kind: 'list'; readonly elements: readonly Argument[] }
  | { readonly kind: 'product'; readonly left: Argument; readonly right: Argument };

/**
 * Builds the argument for a value of a plan, and adds the parameters that the value names to `parameters`. Throws
 * `NeedsRuntime` for a generator that only the runtime has.
 */
export function buildArgument(value: unknown, scope: Scope, parameters: Set<string>): Argument {
  if (Array.isArray(value)) {
    const elements = value.map((element) => buildArgument(element, scope, parameters));
    return elements.every((element) => element.kind === 'constant')
      ? { kind: 'constant', value }
      : { kind: 'list', elements };
  }
  if (!isObject(value)) return { kind: 'constant', value };
  const inner = value.prisma__value;
  if (value.prisma__type === undefined) return { kind: 'constant', value };
  if (!isObject(inner)) throw new NeedsRuntime();
  if (value.prisma__type === 'param') {
    const { name, type } = inner;
    if (typeof name !== 'string' || name in Object.prototype) throw new NeedsRuntime();
    const isInstant = type === 'DateTime';
    const index = scope.get(name);
    if (index !== undefined) return { kind: 'variable', name, index, isInstant };
    parameters.add(name);
    return { kind: 'parameter', name, isInstant };
  }
  if (value.prisma__type === 'generatorCall' && Array.isArray(inner.args)) {
    if (inner.name === 'now') return { kind: 'now' };
    if (inner.name === 'uuid' && inner.args[0] === 4) return { kind: 'uuid' };
    if (inner.name === 'product' && inner.args.length === 2) {
      const [left, right] = inner.args.map((each) => buildArgument(each, scope, parameters));
      if (left !== undefined && right !== undefined) return { kind: 'product', left, right };
    }
  }
  throw new NeedsRuntime();
}

/** The value of an argument in one run. */
export function argumentValue(argument: Argument, run: Run): unknown {
  switch (argument.kind) {
    case 'constant':
      return argument.value;
    case 'parameter':
      return found(argument.name, run.parameters[argument.name], argument.isInstant);
    case 'variable':
      return found(argument.name, run.variables[argument.index], argument.isInstant);
    case 'now':
      return run.now();
    case 'uuid':
      return run.uuid();
    case 'list':
      return argument.elements.map((element) => argumentValue(element, run));
    case 'product':
      return pairs(argumentValue(argument.left, run), argumentValue(argument.right, run));
  }
}

/** All pairs of two values. A value may be a list; if so, each of its elements is paired. */
function pairs(left: unknown, right: unknown): unknown[] {
  const lefts: unknown[] = Array.isArray(left) ? left : [left];
  const rights: unknown[] = Array.isArray(right) ? right : [right];
  if (lefts.length * rights.length > ELEMENTS_MAX) throw productTooLarge();
  return lefts.flatMap((one) => rights.map((other) => [one, other]));
}

function found(name: string, value: unknown, isInstant: boolean): unknown {
  // The text is the runtime's.
  if (value === undefined) throw new Error(`Missing value for query variable ${name}`);
  if (value instanceof RecordSet) return plainOf(value);
  return isInstant && typeof value === 'string' ? new Date(value) : value;
}

/** A value in the form in which a statement binds it. */
export function encodeValue(value: unknown, type: ArgType): ParameterValue {
  if (typeof value === 'number') return String(value);
  if (typeof value === 'string' && type.scalarType !== 'datetime' && type.scalarType !== 'bytes') return value;
  return encodeArgument(value, type);
}

/** Most elements of a list among the parameters. The runtime executes plans with longer lists, under its own limit. */
const LIST_MAX = 32_766;

/**
 * Whether the parameters of a request can be bound as they are: each one is present, and none looks like a
 * placeholder of a plan.
 */
export function areBindable(values: Readonly<Record<string, unknown>>, names: readonly string[]): boolean {
  for (let i = 0; i < names.length; i++) {
    const name = names[i] as string;
    const value = values[name];
    if (value === undefined) return false;
    if (typeof value === 'object' && value !== null && !isPlainData(value)) return false;
  }
  return true;
}

function isPlainData(value: object): boolean {
  if (!Array.isArray(value)) return !('prisma__type' in value);
  if (value.length > LIST_MAX) return false;
  for (const element of value) if (typeof element === 'object' && element !== null) return false;
  return true;
}
