/** Processes that belong to `directory`: by working directory or by command line. Frozen ones too. */
export function processesOf(directory: string): number[];
/** Kills the processes that belong to `directory` now; gives their pids. One that ends meanwhile is no error. */
export function killProcessesOf(directory: string): number[];
/** Kills the processes of `directory` until none is left, then removes it and the shared memory of its servers. */
export function reap(directory: string): void;
