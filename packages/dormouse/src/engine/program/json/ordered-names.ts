/** Whether an object of JavaScript's keeps a member of this name where it was put: an integer would come first. */
export function isOrderedName(name: string): boolean {
  return !/^\d/.test(name) && name !== '__proto__';
}
