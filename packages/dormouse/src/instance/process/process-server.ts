import { assert, type Deadline, keepAlive, type Role } from '../../base/index.ts';
import { AdminBackends, probe, upgradeServer } from '../administration/index.ts';
import type { ProcessWorld } from '../confinement/index.ts';
import type { Adoption, Backends, Credentials, Endpoint, Server, StopResult } from '../contract/index.ts';
import type { DatabaseLayout, LifelineWatch, ProcessIdentity } from '../machine/index.ts';
import { treeMemoryBytes } from '../machine/index.ts';
import { configure, dataMajor } from '../postgres/index.ts';
import { isNamespaceRoot } from './leftover-processes.ts';
import { removeRecord, writeRecord } from './process-record.ts';
import { ProcessTree } from './process-tree.ts';
import { ServerWatch } from './server-watch.ts';
import { postmasterSays, spawnPostgres } from './spawn-postgres.ts';
import { ensureLifeline, ensureRun, followStart, startError } from './start-server.ts';

/** How long a server of an earlier platform may take to answer one query. */
const ADOPT_MS = 10_000;
/** The pause between two questions to a server that recovers. */
const RECOVERING_LOOK_MS = 50;
/** The name that initdb gives. */
const MAIN_DATABASE = 'postgres';
const NEVER = (): boolean => false;

/**
 * PostgreSQL as a tree of processes on this machine.
 *
 * Invariants:
 * - One operation runs at a time; each other operation waits for its turn.
 * - No server is started before the lifeline proves that every process of the earlier one has ended.
 * - A start is done once connections are accepted and the process record is stored, by which the next platform finds
 *   the server.
 */
export class ProcessServer implements Server {
  readonly endpoint: Endpoint;
  readonly backends: Backends = new AdminBackends(() => this.endpoint);
  onExit: (() => void) | undefined;
  readonly #name: string;
  readonly #layout: DatabaseLayout;
  readonly #world: ProcessWorld;
  readonly #throwAway: boolean;
  readonly #tree: ProcessTree;
  readonly #watch: ServerWatch;
  /** A server of an earlier platform is alive and does not accept connections yet. */
  #recovering = false;
  /** The last operation: operations run one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(name: string, layout: DatabaseLayout, endpoint: Endpoint, world: ProcessWorld, throwAway = false) {
    this.#name = name;
    this.#layout = layout;
    this.endpoint = endpoint;
    this.#world = world;
    this.#throwAway = throwAway;
    this.#tree = new ProcessTree(name, layout, world);
    this.#watch = new ServerWatch(name, layout, world, this.#tree, {
      onUnreachable: (life) => this.#endUnreachable(life),
      onDied: (life) => this.#postmasterDied(life),
    });
    this.#tree.onGone = (meant) => {
      this.#watch.end();
      if (!meant) this.onExit?.();
    };
  }

  /** Each role is a user of its name. The socket is private, so the server asks for no password. */
  credentials(role: Role): Credentials {
    return { user: role, database: MAIN_DATABASE };
  }

  start(deadline: Deadline, givenUp: () => boolean = NEVER): Promise<void> {
    return this.#exclusive(() => this.#start(deadline, givenUp));
  }

  suspend(): Promise<void> {
    return this.#exclusive(async () => {
      this.#tree.alive();
      this.#watch.end();
      await this.#watch.cutLog();
      try {
        await this.#tree.freeze();
      } catch (error) {
        this.#watch.begin();
        throw error;
      }
    });
  }

  wake(): Promise<void> {
    return this.#exclusive(async () => {
      if (!this.#tree.unreaped()) this.#tree.alive();
      this.#tree.thaw();
      this.#watch.beginAfterThaw();
    });
  }

  paused<T>(work: () => Promise<T>): Promise<T> {
    return this.#exclusive(async () => {
      await this.#tree.freeze();
      try {
        return await work();
      } finally {
        this.#tree.thaw();
      }
    });
  }

  stop(how: 'clean' | 'immediate'): Promise<StopResult> {
    return this.#exclusive(() => this.#stop(how));
  }

  async memoryBytes(): Promise<number | undefined> {
    const { root } = this.#tree;
    return root && treeMemoryBytes(this.#world.table, root.pid);
  }

  adopt(): Promise<Adoption> {
    return this.#exclusive(() => this.#adopt());
  }

  #exclusive<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#last.then(() => keepAlive(operation));
    this.#last = result.catch(() => {});
    return result;
  }

  async #start(deadline: Deadline, givenUp: () => boolean): Promise<void> {
    const tree = this.#tree;
    const layout = this.#layout;
    const world = this.#world;
    assert(tree.life === undefined || tree.life.ended || this.#recovering, 'started twice');
    let logOffset = 0;
    try {
      const binaries = world.binaries(dataMajor(layout.data));
      if (await this.#takeOver(deadline, givenUp)) return;
      await this.#watch.cutLog();
      ensureRun(layout, world.account);
      const name = this.#name;
      const { tempLimitBytes } = world.limits.of(name);
      await configure(layout.data, world.account, binaries, { clientsMax: world.clientsMax, tempLimitBytes });
      const spawned = spawnPostgres(name, layout, binaries, world, {
        throwAway: this.#throwAway,
        held: world.limits.on,
      });
      logOffset = spawned.logOffset;
      tree.watch(spawned.life);
      const onDied = (): void => this.#postmasterDied(spawned.life);
      const onKeeperLost = (root: ProcessIdentity): void => this.#watch.beginAtAdopted(root);
      await followStart({ name, spawned, tree, layout, world, deadline, givenUp, onDied, onKeeperLost });
      await this.#upgrade();
      this.#watch.begin();
    } catch (error) {
      await this.#stop('immediate');
      throw startError(error, layout, logOffset);
    }
  }

  /**
   * A server that was found recovering is waited for, because its recovery would begin anew if it were ended; any other
   * server of an earlier start is ended. True if the recovered server is taken over; false once no process of an
   * earlier server is alive, and only then a server may be started on this data.
   */
  async #takeOver(deadline: Deadline, givenUp: () => boolean): Promise<boolean> {
    await ensureLifeline(this.#layout);
    if (!this.#recovering && (await this.#tree.meetStranger()) === undefined) return false;
    const { clock } = this.#world;
    while (this.#recovering && !deadline.expired() && !givenUp()) {
      await new Promise<void>((resolve) => clock.after(RECOVERING_LOOK_MS, resolve));
      if ((await this.#meet()) === 'running') return true;
    }
    await this.#stop('clean');
    return false;
  }

  async #stop(how: 'clean' | 'immediate'): Promise<StopResult> {
    const tree = this.#tree;
    const life = tree.life ?? (await tree.meetStranger());
    if (life === undefined) return 'gone';
    this.#recovering = false;
    tree.endMeant();
    const result = life.ended ? 'gone' : await tree.end(life, how);
    await tree.keeperGone();
    await removeRecord(this.#layout.record);
    if (result === 'gone') return result;
    // An immediate stop that was asked for is no reason to warn.
    if (result !== 'clean' && result !== how) {
      this.#world.logger.log('warn', 'postgres was not stopped cleanly; the next start recovers', {
        database: this.#name,
        result,
      });
    }
    return result;
  }

  async #adopt(): Promise<Adoption> {
    if ((await this.#tree.meetStranger()) === undefined) {
      await removeRecord(this.#layout.record);
      return 'gone';
    }
    const found = await this.#meet();
    if (found === 'gone') await this.#stop('clean');
    return found;
  }

  /** Asks a server of an earlier platform whether it works, and watches it if so; `gone` if it cannot be used. */
  async #meet(): Promise<Adoption> {
    const { root, life } = this.#tree;
    const known = this.#recovering;
    this.#recovering = false;
    if (root === undefined || life?.ended !== false) return 'gone';
    this.#world.freezer.thawForeign(root.pid);
    const { table } = this.#world;
    const says = postmasterSays(isNamespaceRoot(table, root.pid) ? 1 : root.pid, this.#layout);
    const said = says === 'stopping' ? 'refuses' : await probe(this.endpoint, ADOPT_MS);
    // A server that is only starting may not listen yet.
    if (said === 'refuses' && says !== 'starting') return 'gone';
    await writeRecord(this.#layout.record, { ...root, bootId: table.bootId });
    // A server that recovers is ours too: it is held to its limits from now on, and counts as known in our control
    // groups.
    if (!known) this.#world.limits.started(this.#name, root);
    if (said !== 'answers') {
      this.#recovering = true;
      return 'starting';
    }
    await this.#upgrade();
    this.#watch.beginAtAdopted(root);
    this.#watch.begin();
    return 'running';
  }

  /** Runs before a session of the tenant may connect. */
  #upgrade(): Promise<void> {
    const { account, logger } = this.#world;
    return upgradeServer({
      ...{ name: this.#name, data: this.#layout.data, endpoint: this.endpoint },
      ...{ account, logger },
    });
  }

  /** The report may come after another server has taken the place of the dead one: the new server is left alone. */
  #postmasterDied(life: LifelineWatch): void {
    this.#exclusive(async () => {
      if (this.#tree.goesOn(life)) await this.#tree.endOrphans(life);
    }).catch((error: unknown) => {
      // The next start proves that they are gone, or fails.
      this.#world.logger.log('error', 'orphans do not end', { database: this.#name, reason: String(error) });
    });
  }

  /**
   * Postgres does not create a lost socket again. The server is ended without a stop of the controller, so it counts as
   * crashed and is started when it is needed next.
   */
  #endUnreachable(life: LifelineWatch): void {
    this.#exclusive(async () => {
      if (!this.#tree.goesOn(life) || this.#tree.frozen || this.#watch.reachable()) return;
      this.#world.logger.log('warn', 'the socket of a server is gone; the server is ended', { database: this.#name });
      await this.#tree.end(life, 'clean');
      await removeRecord(this.#layout.record);
    }).catch((error: unknown) => {
      this.#world.logger.log('error', 'a server without a socket does not end', {
        database: this.#name,
        reason: String(error),
      });
    });
  }
}
