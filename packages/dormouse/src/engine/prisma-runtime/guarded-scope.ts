import type { QueryPlanNode } from '@prisma/client-engine-runtime';
import { DormouseError } from '../../base/index.ts';
import { isObject, type JsonObject } from '../request/index.ts';

/**
 * Most elements of a list in a variable, and of a product of lists. Without this limit, a plan could double its own
 * lists until the memory is used up.
 */
export const ELEMENTS_MAX = 2_000_000;

type Scope = Record<string, unknown>;

/**
 * The scope for the variables of a plan that a client sent. Prisma's runtime trusts its plans: it replaces a
 * placeholder that a variable holds again and again (endlessly, if the placeholder names its own variable), and lets
 * a plan join lists to any length. This scope checks every value when it is assigned, also in the inner scopes that
 * the runtime derives from it. Throws `plan_invalid`.
 */
export function guardedScope(plan: QueryPlanNode, parameters: JsonObject): Scope {
  const names = new Set<string>();
  const products: [string, string][] = [];
  survey(plan, names, products);
  const scope: Scope = Object.create(null);
  for (const name of names) guard(scope, name, undefined, products);
  for (const [name, value] of Object.entries(parameters)) {
    if (names.has(name)) throw refused(`the parameter ${name.slice(0, 80)} has the name of a variable`);
    checkValue(value, true);
    if (name !== '__proto__') scope[name] = value;
  }
  for (const pair of products) checkProduct(scope, pair);
  return scope;
}

/** Defines a variable. Each assignment to it, in this scope or a scope that inherits from it, is checked first. */
function guard(scope: Scope, name: string, value: unknown, products: readonly [string, string][]): void {
  Object.defineProperty(scope, name, {
    configurable: true,
    enumerable: true,
    get: () => value,
    set(this: Scope, assigned: unknown) {
      checkValue(assigned, false);
      guard(this, name, assigned, products);
      for (const pair of products) if (pair.includes(name)) checkProduct(this, pair);
    },
  });
}

function checkValue(value: unknown, fromClient: boolean): void {
  if (Array.isArray(value)) {
    if (value.length > ELEMENTS_MAX) throw refused(`a list has more than ${ELEMENTS_MAX} elements`);
    for (const element of value) {
      if (typeof element === 'object' && element !== null) checkValue(element, fromClient);
    }
  } else if (isObject(value) && value.prisma__type !== undefined) {
    throw refused('a variable holds a placeholder');
  }
}

function checkProduct(scope: Scope, [left, right]: readonly [string, string]): void {
  if (lengthOf(scope[left]) * lengthOf(scope[right]) > ELEMENTS_MAX) throw productTooLarge();
}

/** The error for a plan in which the product of two lists is too long. */
export function productTooLarge(): DormouseError {
  return refused(`a product has more than ${ELEMENTS_MAX} elements`);
}

function lengthOf(value: unknown): number {
  return Array.isArray(value) ? value.length : 1;
}

function refused(reason: string): DormouseError {
  return new DormouseError('plan_invalid', { message: `The query plan cannot be executed: ${reason}.` });
}

/** Collects the names that `let` binds, and the pairs of variables that `product` multiplies. */
function survey(value: unknown, names: Set<string>, products: [string, string][]): void {
  if (Array.isArray(value)) {
    for (const element of value) survey(element, names, products);
    return;
  }
  if (!isObject(value)) return;
  if (value.type === 'let' && isObject(value.args) && Array.isArray(value.args.bindings)) {
    for (const binding of value.args.bindings) names.add((binding as { name: string }).name);
  }
  if (
    value.prisma__type === 'generatorCall' &&
    isObject(value.prisma__value) &&
    value.prisma__value.name === 'product'
  ) {
    products.push(productPair(value.prisma__value.args));
  }
  for (const key of Object.keys(value)) survey(value[key], names, products);
}

function productPair(args: unknown): [string, string] {
  const names = (Array.isArray(args) ? args : []).map(variableName);
  const [left, right] = names;
  if (names.length !== 2 || left === undefined || right === undefined) {
    throw refused('a product of something other than two variables');
  }
  return [left, right];
}

function variableName(value: unknown): string | undefined {
  if (!isObject(value) || value.prisma__type !== 'param' || !isObject(value.prisma__value)) return undefined;
  const { name } = value.prisma__value;
  return typeof name === 'string' ? name : undefined;
}
