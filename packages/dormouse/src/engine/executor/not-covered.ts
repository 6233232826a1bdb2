/**
 * Thrown where a plan, its parameters or its rows hold something that the executor does not know. Nothing is lost: the
 * runtime takes over, over the rows that were read already.
 */
export class NotCovered extends Error {
  override readonly name = 'NotCovered';
}
