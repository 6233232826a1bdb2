/**
 * Whether a JavaScript object keeps a member of this name in the order of insertion: integer names would come first,
 * and `__proto__` would be no member.
 */
export function isOrderedName(name: string): boolean {
  return !/^\d/.test(name) && name !== '__proto__';
}
