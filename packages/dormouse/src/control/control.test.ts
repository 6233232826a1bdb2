import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import {
  cryptoRandom,
  type DatabaseId,
  DormouseError,
  type KeyId,
  type LimitOverrides,
  NO_LIMITS,
  type RestOverrides,
  silentLogger,
} from '../base/index.ts';
import type { BranchOptions, ForkResult, InstanceState } from '../instance/index.ts';
import { Control, type ControlEvent, type Fleet, Registry, Secrets } from './index.ts';

/** Servers that exist as states only. */
class PaperFleet implements Fleet {
  readonly states = new Map<DatabaseId, InstanceState>();
  readonly calls: string[] = [];
  failing: string | undefined;
  #listener: ((id: DatabaseId, state: InstanceState) => void) | undefined;

  async create({ id }: { id: DatabaseId }): Promise<void> {
    this.#call('create', id);
    this.#set(id, 'stopped');
  }
  branching: (options: BranchOptions) => Promise<void> = async () => {};
  async branch(source: { id: DatabaseId }, { id }: { id: DatabaseId }, options: BranchOptions): Promise<ForkResult> {
    this.#call('branch', `${source.id} ${id}`);
    await this.branching(options);
    this.#set(id, 'stopped');
    return { way: 'files', pausedMs: 0 };
  }
  async destroy({ id }: { id: DatabaseId }): Promise<void> {
    this.#call('destroy', id);
    this.states.delete(id);
  }
  async suspend(id: DatabaseId): Promise<void> {
    this.#set(id, 'suspended');
  }
  async stop(id: DatabaseId): Promise<void> {
    this.#set(id, 'stopped');
  }
  async wake(id: DatabaseId): Promise<void> {
    this.#set(id, 'running');
  }
  memoryBytes(): number {
    return 0;
  }
  async setLimits(id: DatabaseId, limits: LimitOverrides): Promise<void> {
    this.calls.push(`limits ${id} ${JSON.stringify(limits)}`);
  }
  setRest(id: DatabaseId, rest: RestOverrides): void {
    this.calls.push(`rest ${id} ${JSON.stringify(rest)}`);
  }
  state(id: DatabaseId): InstanceState {
    return this.states.get(id) ?? 'stopped';
  }
  describe(id: DatabaseId): { id: DatabaseId } {
    return { id };
  }
  onState(listener: (id: DatabaseId, state: InstanceState) => void): () => void {
    this.#listener = listener;
    return () => {};
  }
  #call(verb: string, id: string): void {
    this.calls.push(`${verb} ${id}`);
    if (this.failing === verb) throw new DormouseError('disk_full');
  }
  #set(id: DatabaseId, state: InstanceState): void {
    this.states.set(id, state);
    this.#listener?.(id, state);
  }
}

describe('Control', () => {
  let directory: string;
  let clock: ManualClock;
  let fleet: PaperFleet;
  let control: Control;

  const openControl = async (bootId = 'boot-1'): Promise<void> => {
    control = new Control({
      registry: new Registry(path.join(directory, 'registry.db')),
      secrets: new Secrets(new Uint8Array(32)),
      clock,
      random: cryptoRandom,
      log: silentLogger,
      rest: { suspendAfterMs: 5000, stopAfterMs: Number.POSITIVE_INFINITY, alwaysOn: false, listenKeepsAwake: false },
      bootId,
      limits: NO_LIMITS,
      addresses: { publicUrl: 'http://127.0.0.1:4400', httpPort: 4400, postgresPort: 5440 },
    });
    await control.start(fleet, 18);
  };

  beforeEach(async () => {
    directory = mkdtempSync(path.join(tmpdir(), 'dormouse-control-'));
    clock = new ManualClock();
    fleet = new PaperFleet();
    await openControl();
  });
  afterEach(() => {
    control.close();
    rmSync(directory, { recursive: true, force: true });
  });

  const firstKey = (): KeyId => {
    const [key] = control.listKeys('main');
    if (!key) throw new Error('main has no key');
    return key.id;
  };

  it('a created database is found by its name and by its id, and has the URLs of its first key', async () => {
    const made = await control.createDatabase('main');
    expect(made).toMatchObject({
      name: 'main',
      state: 'stopped',
      pgMajor: 18,
      keys: 1,
      operationsToday: 0,
      pulseUrl: 'ws://127.0.0.1:4400',
      instance: { id: made.id },
    });
    expect(made.prismaUrl).toBe(`prisma+postgres://127.0.0.1:4400/?api_key=${made.apiKey}`);
    expect(made.postgresUrl).toMatch(/^postgres:\/\/key_[a-z0-9]{20}:[\w-]{43}@127\.0\.0\.1:5440\/postgres$/);
    expect(await control.showDatabase('main')).toEqual(made);
    expect(await control.showDatabase(made.id)).toEqual(made);
    const [key] = control.listKeys('main');
    expect(key).toMatchObject({ role: 'owner', label: 'default', revokedAtMs: null });
    expect(control.catalog.database(made.id)?.name).toBe('main');
    expect(control.catalog.key(firstKey())).toMatchObject({
      databaseId: made.id,
      role: 'owner',
      revoked: false,
    });
    expect(made.postgresUrl).toContain(`:${control.catalog.secret(firstKey())}@`);
  });

  it('a database has the same URLs after a restart of the platform', async () => {
    const made = await control.createDatabase('main');
    control.catalog.count(firstKey(), made.id, 7);
    control.close();
    await openControl();
    expect(await control.showDatabase('main')).toEqual({
      ...made,
      operationsToday: 7,
      usage: [{ day: '2026-11-23', operations: 7 }],
    });
    expect(control.databases()).toEqual([
      { id: made.id, kind: 'managed', name: 'main', pgMajor: 18, createdAtMs: clock.now(), rest: {}, limits: {} },
    ]);
  });

  it('an invalid name and a name in use are refused, also when two databases of one name are created at once', async () => {
    await expect(control.createDatabase('Main!')).rejects.toMatchObject({ code: 'name_invalid' });
    const both = await Promise.allSettled([control.createDatabase('main'), control.createDatabase('main')]);
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    await expect(control.createDatabase('main')).rejects.toMatchObject({ code: 'name_taken' });
    expect(control.listDatabases()).toHaveLength(1);
  });

  it('a creation that fails leaves nothing of the database', async () => {
    fleet.failing = 'create';
    await expect(control.createDatabase('main')).rejects.toMatchObject({ code: 'disk_full' });
    expect(fleet.calls.map((call) => call.split(' ')[0])).toEqual(['create', 'destroy']);
    expect(control.listDatabases()).toEqual([]);
    fleet.failing = undefined;
    await control.createDatabase('main');
  });

  it('a change of the times of rest is stored, applied to the server and sent to watchers', async () => {
    const events: ControlEvent[] = [];
    control.watchers.add({ tell: (event) => events.push(event), end() {} });
    const { id, rest } = await control.createDatabase('main');
    expect(rest).toEqual({
      ...{ suspendAfterMs: 5000, stopAfterMs: 'never', alwaysOn: false, listenKeepsAwake: false },
      own: [],
    });
    const changed = await control.change('main', { suspendAfterMs: 'never', stopAfterMs: 60_000, alwaysOn: true });
    expect(changed.rest).toEqual({
      ...{ suspendAfterMs: 'never', stopAfterMs: 60_000, alwaysOn: true, listenKeepsAwake: false },
      own: ['suspendAfterMs', 'stopAfterMs', 'alwaysOn'],
    });
    expect(fleet.calls.at(-1)).toMatch(`rest ${id} {`);
    expect(events.at(-1)).toMatchObject({ event: 'changed', data: { id, rest: { alwaysOn: true } } });
    await control.change('main', { suspendAfterMs: null, alwaysOn: null });
    control.close();
    await openControl();
    expect(control.databases()).toMatchObject([{ id, rest: { stopAfterMs: 60_000 } }]);
    expect(control.listDatabases()[0]?.rest.own).toEqual(['stopAfterMs']);
  });

  it.each([
    { suspendAfterMs: -1 },
    { suspendAfterMs: '5s' },
    { memoryLimitBytes: 5 },
    { memoryLimitBytes: '1GiB' },
    { cpuWeight: 'none' },
    { processLimit: 20.5 },
    { stopAfterMs: 1.5 },
    { stopAfterMs: 2 ** 31 },
    { alwaysOn: 'yes' },
    { name: 'other' },
  ])('a change that cannot be made is refused and changes nothing: %o', async (patch) => {
    await control.createDatabase('main');
    await expect(control.change('main', patch)).rejects.toMatchObject({ code: 'request_invalid' });
    expect(control.listDatabases()[0]?.rest.own).toEqual([]);
  });

  it.each(['creating', 'deleting'] as const)(
    'a database that a crash left %s is deleted at the next start',
    async (lifecycle) => {
      control.close();
      const registry = new Registry(path.join(directory, 'registry.db'));
      const id = 'db_cccccccccccccccccccc' as DatabaseId;
      registry.addDatabase({
        ...{ id, kind: 'managed', name: 'half', pgMajor: 18, lifecycle, createdAtMs: 1, rest: {}, limits: {} },
        ...{ parentId: null, parentName: null, throwAwayBoot: null },
      });
      registry.close();
      await openControl();
      expect(fleet.calls).toEqual([`destroy ${id}`]);
      expect(control.listDatabases()).toEqual([]);
      await control.createDatabase('half');
    },
  );

  it('the first start after a boot of the machine deletes the throw-away databases, and no other start does', async () => {
    await control.createDatabase('main');
    const { done } = control.beginBranch('main', 'thrown-away', { atRest: false, throwAway: true });
    const { id, throwAway } = await done;
    expect(throwAway).toBe(true);
    await control.beginBranch('main', 'kept', { atRest: false, throwAway: false }).done;
    control.close();
    await openControl();
    expect(control.catalog.database(id)).toMatchObject({ throwAway: true });
    expect(control.databases()).toHaveLength(3);
    fleet.calls.length = 0;
    control.close();
    await openControl('boot-2');
    // Nothing else was done with the database before it was destroyed.
    expect(fleet.calls).toEqual([`destroy ${id}`]);
    expect(
      control
        .listDatabases()
        .map(({ name, throwAway }) => `${name} ${throwAway}`)
        .sort(),
    ).toEqual(['kept false', 'main false']);
  });

  it('the platform starts although an unfinished database cannot be deleted', async () => {
    await control.createDatabase('main');
    fleet.failing = 'destroy';
    await expect(control.deleteDatabase('main')).rejects.toThrow();
    control.close();
    await openControl();
    expect(control.listDatabases().map(({ state }) => state)).toEqual(['deleting']);
    fleet.failing = undefined;
    control.close();
    await openControl();
    expect(control.listDatabases()).toEqual([]);
  });

  it('the keys of a deleted database stop working at once, and a deletion that failed goes on when it is repeated', async () => {
    const made = await control.createDatabase('main');
    const key = firstKey();
    fleet.failing = 'destroy';
    await expect(control.deleteDatabase('main')).rejects.toMatchObject({ code: 'disk_full' });
    expect(control.catalog.key(key)).toBeUndefined();
    expect(control.catalog.database(made.id)).toBeUndefined();
    expect(control.listDatabases()[0]?.state).toBe('deleting');
    expect(() => control.createKey('main', 'owner', null)).toThrow(
      expect.objectContaining({ code: 'database_deleted' }),
    );
    fleet.failing = undefined;
    expect(await control.deleteDatabase('main')).toEqual({ id: made.id, name: 'main' });
    await expect(control.deleteDatabase('main')).rejects.toMatchObject({ code: 'database_unknown' });
    await control.createDatabase('main');
  });

  it('keys are created and revoked, and the catalog knows at once and for good that a key is revoked', async () => {
    const made = await control.createDatabase('main');
    const reader = control.createKey('main', 'reader', 'report');
    expect(reader.prismaUrl).not.toBe(made.prismaUrl);
    expect(control.showKey(made.id, reader.id)).toEqual(reader);
    expect(() => control.createKey('main', 'root', null)).toThrow(expect.objectContaining({ code: 'request_invalid' }));
    expect(() => control.createKey('main', 'owner', 'x'.repeat(201))).toThrow(
      expect.objectContaining({ code: 'request_invalid' }),
    );
    expect(control.revokeKey('main', reader.id).revokedAtMs).toBe(clock.now());
    expect(control.catalog.key(reader.id)?.revoked).toBe(true);
    const first = control.revokeKey('main', reader.id);
    clock.advance(1000);
    expect(control.revokeKey('main', reader.id)).toEqual(first);
    expect((await control.showDatabase('main')).keys).toBe(1);
    const owner = control.listKeys('main').find(({ role }) => role === 'owner');
    control.revokeKey('main', owner?.id ?? '');
    expect(await control.showDatabase('main')).toMatchObject({
      keys: 0,
      prismaUrl: null,
      postgresUrl: null,
      apiKey: null,
      pulseUrl: 'ws://127.0.0.1:4400',
    });
    control.close();
    await openControl();
    expect(control.catalog.key(reader.id)?.revoked).toBe(true);
    const other = await control.createDatabase('other');
    expect(() => control.revokeKey(other.id, reader.id)).toThrow(expect.objectContaining({ code: 'key_unknown' }));
  });

  it('a forced state is reached and sent to watchers', async () => {
    const seen: ControlEvent[] = [];
    control.watchers.add({ tell: (event) => seen.push(event), end: () => {} });
    const { id } = await control.createDatabase('main');
    expect((await control.setState('main', 'wake')).state).toBe('running');
    expect((await control.setState('main', 'suspend')).state).toBe('suspended');
    expect(control.totals()).toEqual({ databases: { total: 1, byState: { suspended: 1 } }, operationsToday: 0 });
    await control.deleteDatabase('main');
    expect(seen.map(({ event, data }) => [event, (data as { state?: string }).state])).toEqual([
      ['created', 'stopped'],
      ['state', 'running'],
      ['state', 'suspended'],
      ['deleted', undefined],
    ]);
    expect(seen[1]).toEqual({ event: 'state', data: { id, name: 'main', state: 'running' } });
  });
});
