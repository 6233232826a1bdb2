import type { Logger } from '../base/index.ts';
import type { Platform, PlatformOptions } from '../platform/index.ts';

export type { Platform, PlatformOptions };

/** The composition root, as an argument. */
export type StartPlatform = (
  options: PlatformOptions,
  logger: Logger,
  progress: (line: string) => void,
) => Promise<Platform>;

/** The real one. Loaded only when it is started: other commands need nothing of it, and answer sooner. */
export const startHere: StartPlatform = async (options, logger, progress) => {
  const { startPlatform } = await import('../platform/index.ts');
  return startPlatform(options, logger, progress);
};
