import type { Logger } from '../base/index.ts';
import type { Platform, PlatformOptions } from '../platform/index.ts';

export type { Platform, PlatformOptions };

/** Starts the platform. An argument, so that tests can start a stand-in. */
export type StartPlatform = (
  options: PlatformOptions,
  logger: Logger,
  progress: (line: string) => void,
) => Promise<Platform>;

/**
 * Starts the real platform. Its code is loaded here, so that the other commands, which do not need it, answer sooner.
 */
export const startHere: StartPlatform = async (options, logger, progress) => {
  const { startPlatform } = await import('../platform/index.ts');
  return startPlatform(options, logger, progress);
};
