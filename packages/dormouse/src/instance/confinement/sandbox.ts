import { dirname } from 'node:path';

/**
 * The arguments of bubblewrap: what a server in a sandbox sees and has. Everything else of the machine is not there for
 * it. It outlives the platform on purpose (no --die-with-parent): the next one adopts it.
 */

/**
 * What a dynamic program and its locales need, wherever the distribution keeps it. Read only; absent ones are left out.
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

/** All that Postgres and its libraries open. No terminal, no disk, no kernel log. */
const DEVICES = ['/dev/null', '/dev/urandom', '/dev/random'] as const;

const NAMESPACES = [
  '--unshare-user',
  // The postmaster is process 1 there: with it the kernel ends the whole tree, and nothing can be left behind.
  '--unshare-pid',
  '--as-pid-1',
  // No interface but loopback. The socket is a file: clients connect to it from outside.
  '--unshare-net',
  // Shared memory of its own, which ends with it.
  '--unshare-ipc',
  '--unshare-uts',
  '--unshare-cgroup-try',
] as const;

/**
 * The arguments before `--` for `program`, an absolute path without symlinks (BIN/postgres). `writable` are the
 * directories that are its own, `readable` what it needs beside its build; they keep their paths. Capabilities are all
 * dropped, and no program can gain any (no_new_privs is always set).
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
    // Shared memory of parallel queries.
    ...['--tmpfs', '/dev/shm'],
    ...DEVICES.flatMap((path) => ['--dev-bind-try', path, path]),
    ...writable.flatMap((path) => ['--bind', path, path]),
    // What is left of the root is memory: a server must not fill it.
    ...['--remount-ro', '/'],
    ...['--chdir', '/'],
  ];
}

/**
 * A build below /usr has its files all over it (Debian: lib/postgresql/15/bin and share/postgresql/15); another lies in
 * one directory.
 */
function buildPaths(program: string): string[] {
  if (program.startsWith('/usr/')) return ['/usr'];
  const bin = dirname(program);
  const root = dirname(bin);
  return [root === '/' ? bin : root];
}
