import { accessSync, constants, existsSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { type Clock, DormouseError, type Logger, NO_LIMITS } from '../../base/index.ts';
import type { ProcessIdentity, ProcessTable } from '../machine/index.ts';
import {
  type CgroupPlace,
  descendants,
  gather,
  membersOf,
  moveProcess,
  PLATFORM_GROUP,
  removeGroup,
  serverGroup,
} from '../machine/index.ts';
import { type CgroupController, controllersOf, groupFiles, type Limits } from './limits.ts';

/** What the user can do so that the kernel can enforce limits. */
const REMEDY =
  'Start Dormouse where it has a control group of its own: as a systemd service with Delegate=yes, or by `systemd-run --scope -p Delegate=yes` (with --user if you are not root).';

/**
 * How often a change is retried that needs a group to be empty: processes may be forked into the group after it was
 * emptied.
 */
const ROUNDS = 20;

export interface LimitGroupsOptions {
  /** Undefined where there is no control group of version 2. */
  readonly place: CgroupPlace | undefined;
  /** The name of the group that holds the groups of the servers. */
  readonly name: string;
  readonly table: ProcessTable;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * Limits of memory, processor time and processes, by control groups of version 2: one group per server, which the
 * freezer uses too. Until a limit is asked for, this is off and does nothing. From the first limit on every server is
 * in its group from its start, also a server without a limit, because the kernel weighs servers against each other only
 * then.
 */
export class LimitGroups {
  readonly #options: LimitGroupsOptions;
  readonly #limits = new Map<string, Limits>();
  readonly #roots = new Map<string, ProcessIdentity>();
  /** The controllers that the servers' groups have. */
  readonly #enabled = new Set<CgroupController>();
  /** The controllers of our own group that this platform, or one that was killed, has enabled. */
  readonly #ours = new Set<string>();
  /** The last change of the enabled controllers: changes run one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  /** The platform's own group, and in it the group of the servers. */
  readonly #parent: string;
  readonly #base: string;

  constructor(options: LimitGroupsOptions) {
    const { place, name } = options;
    this.#options = options;
    this.#parent = place === undefined ? '/' : join(place.mount, place.own);
    this.#base = join(this.#parent, name);
  }

  /** Whether servers are put into their groups from their start. */
  get on(): boolean {
    return this.#enabled.size > 0;
  }

  /** Whether a database has a limit that the kernel does not enforce. */
  get unmet(): boolean {
    for (const limits of this.#limits.values()) {
      if (controllersOf(limits).some((controller) => !this.#enabled.has(controller))) return true;
    }
    return false;
  }

  of(server: string): Limits {
    return this.#limits.get(server) ?? NO_LIMITS;
  }

  /** The running server's first process, if it is known and still that process. */
  rootOf(server: string): ProcessIdentity | undefined {
    const root = this.#roots.get(server);
    return root && this.#options.table.identify(root.pid)?.startTime === root.startTime ? root : undefined;
  }

  /** Notes what a server may take. Takes effect with `enable`, with `change`, or at the server's next start. */
  note(server: string, limits: Limits): void {
    this.#limits.set(server, limits);
  }

  /** Why these limits cannot be enforced here, as far as can be told without a change; undefined if they can. */
  obstacle(limits: Limits): string | undefined {
    const wanted = controllersOf(limits);
    const { place } = this.#options;
    if (wanted.length === 0) return undefined;
    if (place === undefined) return 'control groups of version 2 are not there';
    const parent = this.#parent;
    let has: string[];
    try {
      has = readFileSync(join(parent, 'cgroup.controllers'), 'latin1').trim().split(' ');
    } catch {
      return `${parent} cannot be read`;
    }
    const missing = wanted.filter((controller) => !has.includes(controller));
    if (missing.length > 0) return `the control group ${parent} has no controller for ${missing.join(', ')}`;
    try {
      for (const file of ['', 'cgroup.procs', 'cgroup.subtree_control']) accessSync(join(parent, file), constants.W_OK);
    } catch {
      return `the control group ${parent} is not writable for this account`;
    }
    return undefined;
  }

  /**
   * Takes over the controllers that a killed platform had enabled: the servers that it left may be under limits that
   * have changed. Called before `enable`, when the running servers are known.
   */
  async resume(): Promise<void> {
    for (const controller of read(join(this.#base, 'cgroup.subtree_control')).trim().split(' ')) {
      if (controller === 'memory' || controller === 'cpu' || controller === 'pids') this.#enabled.add(controller);
    }
    await this.#applyAll();
  }

  /**
   * Makes the kernel enforce limits of these kinds, and puts every running server into its group if that is new. Fails
   * with `limits_unavailable`, and then the kinds of limits before the call are still enforced.
   */
  enable(limits: Limits): Promise<void> {
    const result = this.#last.then(() => this.#enable(limits));
    this.#last = result.catch(() => {});
    return result;
  }

  /** Changes what a server may take, at once. Fails with `limits_unavailable`, and then nothing has changed. */
  async change(server: string, limits: Limits): Promise<void> {
    await this.enable(limits);
    const before = this.of(server);
    this.note(server, limits);
    await this.#apply(server).catch((error: unknown) => {
      this.note(server, before);
      throw error;
    });
  }

  /**
   * Puts the one waiting process of a start into the group of its server. All processes that it forks are members from
   * their start.
   */
  async admit(server: string, pid: number): Promise<void> {
    const group = this.#group(server);
    // The group of an earlier server is removed when it is found empty, which may be between two steps.
    for (let round = 0; ; round++) {
      try {
        await this.#prepare(group, server);
        await moveProcess(group, pid);
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ENOENT' || round >= ROUNDS) throw error;
      }
    }
  }

  /**
   * A server is up, started here or adopted. If it is in no group yet, or its limits have changed meanwhile, that is
   * put right in the background.
   */
  started(server: string, root: ProcessIdentity): void {
    this.#roots.set(server, root);
    if (!this.on) return;
    void this.#apply(server).catch((cause: unknown) => {
      this.#options.logger.log('warn', 'limits of a database are not in effect', { database: server, cause });
    });
  }

  /** The last process of a server is gone. Called before its group is removed. */
  ended(server: string): void {
    this.#roots.delete(server);
    if (!this.on) return;
    const killed = /^oom_kill [1-9]/m.test(read(join(this.#group(server), 'memory.events')));
    void removeGroup(this.#group(server), this.#options.clock);
    if (!killed) return;
    this.#options.logger.log('warn', 'a database went over its memory limit and was ended; its next query starts it', {
      database: server,
      memoryLimitBytes: this.of(server).memoryLimitBytes,
    });
  }

  /** Forgets a database. */
  forget(server: string): void {
    this.#limits.delete(server);
    this.#roots.delete(server);
  }

  /** Leaves our own group as it was found. Called after the groups of the servers were removed. */
  async close(): Promise<void> {
    await this.#last;
    const { place, clock } = this.#options;
    const parent = this.#parent;
    const home = join(parent, PLATFORM_GROUP);
    if (place === undefined || !(this.on || existsSync(home))) return;
    try {
      // The group exists only if a Dormouse platform has divided our own group and moved its processes.
      if (existsSync(home)) {
        for (const controller of read(join(parent, 'cgroup.subtree_control')).trim().split(' ')) {
          if (controller !== '') this.#ours.add(controller);
        }
      }
      for (const controller of this.#ours) await writeFile(join(parent, 'cgroup.subtree_control'), `-${controller}`);
      for (const pid of await membersOf(home)) await moveProcess(parent, pid);
      await removeGroup(home, clock);
    } catch {
      // Another platform in the same group still needs it.
    }
    this.#enabled.clear();
  }

  async #enable(limits: Limits): Promise<void> {
    const wanted = controllersOf(limits).filter((controller) => !this.#enabled.has(controller));
    if (wanted.length === 0) return;
    const obstacle = this.obstacle(limits);
    if (obstacle !== undefined) throw limitsUnavailable(obstacle);
    const parent = this.#parent;
    try {
      await mkdir(this.#base, { recursive: true });
      const before = new Set((await readFile(join(parent, 'cgroup.subtree_control'), 'latin1')).trim().split(' '));
      await this.#delegate(parent, wanted);
      for (const controller of wanted) if (!before.has(controller)) this.#ours.add(controller);
      await writeFile(join(this.#base, 'cgroup.subtree_control'), wanted.map((name) => `+${name}`).join(' '));
    } catch (error) {
      if (error instanceof DormouseError) throw error;
      throw limitsUnavailable(`the control group ${parent} cannot be divided (${(error as Error).message})`, error);
    }
    for (const controller of wanted) this.#enabled.add(controller);
    await this.#applyAll();
  }

  async #applyAll(): Promise<void> {
    if (this.on) await Promise.all([...this.#roots.keys()].map((server) => this.#apply(server)));
  }

  /**
   * Enables controllers for the groups below `parent`. A group that does so must hold no process itself, unless it is
   * the root of all groups: its processes move to a group below.
   */
  async #delegate(parent: string, wanted: readonly CgroupController[]): Promise<void> {
    const home = join(parent, PLATFORM_GROUP);
    for (let round = 0; ; round++) {
      try {
        await writeFile(join(parent, 'cgroup.subtree_control'), wanted.map((name) => `+${name}`).join(' '));
        return;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EBUSY' || round >= ROUNDS) throw error;
      }
      const members = await membersOf(parent);
      const stranger = this.#strangerIn(members);
      if (stranger !== undefined) {
        const name = this.#options.table.name(stranger);
        throw limitsUnavailable(
          `other programs are in the control group ${parent} too (${name === undefined ? 'of another container' : `${name}, pid ${stranger}`})`,
        );
      }
      await mkdir(home, { recursive: true });
      for (const pid of members) await moveProcess(home, pid);
    }
  }

  /** A process that is neither this one, nor an ancestor of it, nor one that it has started or adopted. */
  #strangerIn(members: readonly number[]): number | undefined {
    const { table } = this.#options;
    const ours = new Set([process.pid, ...descendants(table, process.pid)]);
    for (let pid = table.parent(process.pid); pid !== undefined && pid > 0 && !ours.has(pid); pid = table.parent(pid)) {
      ours.add(pid);
    }
    for (const { pid } of this.#roots.values()) {
      const keeper = table.parent(pid);
      for (const one of [pid, ...descendants(table, pid)]) ours.add(one);
      if (keeper !== undefined) ours.add(keeper);
    }
    return members.find((pid) => !ours.has(pid) && (pid === 0 || table.identify(pid) !== undefined));
  }

  /**
   * Puts a running server into its group and writes the limits of the group. Does nothing for a server that does not
   * run: its start does this.
   */
  async #apply(server: string): Promise<void> {
    const { place, table, clock } = this.#options;
    const root = this.rootOf(server);
    if (root === undefined || place === undefined || !this.on) return;
    const group = this.#group(server);
    const was = serverGroup(place, root.pid);
    const gone = (): boolean => this.rootOf(server) !== root;
    try {
      await this.#prepare(group, server);
      if (!(await gather(table, group, root.pid)) && !gone()) throw new Error('its processes cannot be moved');
    } catch (error) {
      if (gone()) return;
      throw limitsUnavailable(`the group ${group} cannot be used (${(error as Error).message})`, error);
    }
    // The server ended meanwhile, so the group may have been made again after its removal.
    if (gone() && this.#roots.get(server) === undefined) await removeGroup(group, clock);
    if (was === undefined || was === group) return;
    // The group was made by a platform that was started in another group.
    await removeGroup(was, clock);
    await rmdir(dirname(was)).catch(() => {});
  }

  async #prepare(group: string, server: string): Promise<void> {
    await mkdir(group, { recursive: true });
    const files = groupFiles(this.of(server));
    for (const controller of this.#enabled) {
      for (const [file, content] of files[controller]) {
        await writeFile(join(group, file), content).catch((error: NodeJS.ErrnoException) => {
          // The kernel has no swap, or is too old to kill whole groups.
          if (error.code !== 'ENOENT' && error.code !== 'EACCES') throw error;
          if (file !== 'memory.swap.max' && file !== 'memory.oom.group') throw error;
        });
      }
    }
  }

  #group(server: string): string {
    return join(this.#base, server);
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}

/** The error that says why limits cannot be enforced, and what to do. */
export function limitsUnavailable(reason: string, cause?: unknown): DormouseError {
  return new DormouseError('limits_unavailable', {
    message: `Limits of memory, processor and processes cannot be enforced here: ${reason}. ${REMEDY}`,
    ...(cause === undefined ? {} : { cause }),
  });
}
