/**
 * Thrown where a plan, its parameters or its rows hold something that the executor does not know. Nothing is lost: the
 * runtime takes over, the whole plan before anything ran, or one part of it over the values that are there.
 */
export class NeedsRuntime extends Error {
  override readonly name = 'NeedsRuntime';
}
