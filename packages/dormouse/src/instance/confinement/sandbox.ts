import { dirname } from 'node:path';

/**
 * The arguments of bubblewrap: what a server in a sandbox sees and has. Nothing else of the machine exists for the
 * server. It outlives the platform on purpose (no --die-with-parent), because the next platform adopts it.
 */

/**
 * The paths that a dynamically linked program and its locales need, on any distribution. Read only; absent paths are
 * left out.
 */
const SYSTEM_PATHS = [
  '/lib',
  '/lib32',
  '/lib64',
  '/usr/lib',
  '/usr/lib32',
  '/usr/lib64',
  '/etc/ld.so.cache',
  '/usr/share/zoneinfo',
  '/nix/store',
  '/gnu/store',
] as const;

/** The devices that Postgres and its libraries open. No terminal, no disk, no kernel log. */
const DEVICES = ['/dev/null', '/dev/urandom', '/dev/random'] as const;

const NAMESPACES = [
  '--unshare-user',
  // The postmaster is process 1 inside: when it ends, the kernel ends the whole tree, and no process is left behind.
  '--unshare-pid',
  '--as-pid-1',
  // No network interface but loopback. The server's socket is a file, which clients connect to from outside.
  '--unshare-net',
  // System V shared memory of its own, which ends with the sandbox.
  '--unshare-ipc',
  '--unshare-uts',
  '--unshare-cgroup-try',
] as const;

/**
 * The arguments before `--` for `program`, an absolute path without symlinks (BIN/postgres). `writable` are the
 * server's own directories, `readable` those that it needs beside its build; they keep their paths. All capabilities
 * are dropped, and no program can gain any (no_new_privs is always set).
 */
export function sandboxArguments(
  program: string,
  writable: readonly string[],
  readable: readonly string[] = [],
): string[] {
  return [
    ...NAMESPACES,
    '--new-session',
    ...['--cap-drop', 'ALL'],
    ...[...SYSTEM_PATHS, ...buildPaths(program), ...readable].flatMap((path) => ['--ro-bind-try', path, path]),
    ...['--proc', '/proc'],
    // The shared memory of parallel queries.
    ...['--tmpfs', '/dev/shm'],
    ...DEVICES.flatMap((path) => ['--dev-bind-try', path, path]),
    ...writable.flatMap((path) => ['--bind', path, path]),
    // The rest of the root file system is in memory, and a server must not fill it.
    ...['--remount-ro', '/'],
    ...['--chdir', '/'],
  ];
}

/**
 * The directory that a build needs. The files of a build below /usr are all over /usr (Debian: lib/postgresql/15/bin
 * and share/postgresql/15); any other build is in one directory.
 */
function buildPaths(program: string): string[] {
  if (program.startsWith('/usr/')) return ['/usr'];
  const bin = dirname(program);
  const root = dirname(bin);
  return [root === '/' ? bin : root];
}
