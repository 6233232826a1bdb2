/** The memory of the machine that servers run on, or of the part of it that they may use. */
export interface MachineMemory {
  /** Undefined where the system does not say. */
  readonly totalBytes: number | undefined;
  /**
   * The bytes that could be taken now without swapping and without a process being killed. Undefined where the system
   * does not say.
   */
  availableBytes(): number | undefined;
}
