import type { RequestContent } from './request-content.ts';

/** Newer than every version: for a client that does not send its version, or sends one that is not known here. */
const NEWEST = Number.POSITIVE_INFINITY;

/** A release, or a version before it (`7.9.0-dev.12`), which is treated as the release. */
const VERSION = /^(\d{1,4})\.(\d{1,4})\.\d{1,4}(?:[-+].{0,100})?$/;

/**
 * The commits of Prisma's engines that the clients of Prisma 7 were released with, and the minor version of each. 7.6
 * and 7.7 share one commit; no reply differs between these two versions.
 */
const COMMITS: ReadonlyMap<string, number> = new Map([
  ['0c19ccc313cf9911a90d99d2ac2eb0280c76c513', 0],
  ['f09f2815f091dbba658cdcd2264306d88bb5bda6', 0],
  ['ab635e6b9d606fa5c8fb8b1a7f909c3c3c1c98ba', 1],
  ['0c8ef2ce45c83248ab3df073180d5eda9e8be7a3', 2],
  ['9d6ad21cbbceab97458517b147a6a09ff43aa735', 3],
  ['ab56fe763f921d033a6c195e7ddeb3e255bdbb57', 4],
  ['55ae170b1ced7fc6ed07a15f110549408c501bb3', 4],
  ['94a226be1cf2967af2541cca5529f0f7ba866919', 4],
  ['280c870be64f457428992c43c1f6d557fab6e29e', 5],
  ['75cbdc1eb7150937890ad5465d861175c6624711', 6],
  ['3c6e192761c0362d496ed980de936e2f3cebcd3a', 8],
  ['e922089b7d7502aff4249d5da3420f6fa55fc6ad', 9],
  ['0edf323efd1d98336f3f0a68684b56f689b900d3', 10],
]);

/**
 * The minor version of a request's client, if that is Prisma 7. The client sends its own version as
 * `prisma-engine-hash`, and the commit of its engines as `prisma-engine-version`; the form `7.9.0-1.COMMIT` of the
 * engines' package is read too. Infinity for a client that sends neither or something unreadable; 0 for a client of an
 * earlier major version.
 */
export function prisma7MinorOf(request: Pick<RequestContent, 'header'>): number {
  return (
    minorOfVersion(request.header('prisma-engine-hash')?.trim()) ??
    minorOfCommit(request.header('prisma-engine-version')?.trim()) ??
    NEWEST
  );
}

function minorOfVersion(text: string | undefined): number | undefined {
  const [, major, minor] = VERSION.exec(text ?? '') ?? [];
  if (major === undefined) return undefined;
  if (Number(major) === 7) return Number(minor);
  return Number(major) < 7 ? 0 : NEWEST;
}

function minorOfCommit(text: string | undefined): number | undefined {
  return text === undefined ? undefined : COMMITS.get(text.slice(-40));
}
