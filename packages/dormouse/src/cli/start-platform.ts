import { DormouseError, type Logger } from '../base/index.ts';
import type { StartValues } from './flags.ts';

/** What `dormouse start` hands to the composition root: its flags, the data directory made absolute. */
export interface StartOptions extends Omit<StartValues, 'data' | 'json' | 'logLevel'> {
  readonly data: string;
  readonly version: string;
}

/** A running platform as the CLI needs it. */
export interface StartedPlatform {
  readonly http: string;
  readonly postgres: string;
  /** With the admin token in its fragment. */
  readonly dashboard: string;
  readonly adminToken: string;
  readonly databases: readonly {
    readonly id: string;
    readonly name: string;
    readonly prismaUrl: string | null;
    readonly postgresUrl: string | null;
    readonly pulseUrl: string;
  }[];
  /** Stops everything cleanly; resolves when the last process has ended. */
  close(): Promise<void>;
}

export type StartPlatform = (
  options: StartOptions,
  logger: Logger,
  progress: (line: string) => void,
) => Promise<StartedPlatform>;

/** Loaded only when it is started: other commands need nothing of it. */
export const startHere: StartPlatform = async () => {
  throw new DormouseError('internal', { message: 'not wired yet' });
};
