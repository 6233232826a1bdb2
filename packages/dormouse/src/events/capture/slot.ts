import { assert, type Epoch, type Logger } from '../../base/index.ts';
import { formatLsn, type Lsn, PostgresError, ProtocolError, parseLsn } from '../../wire/index.ts';
import type { EventLog, LogState } from '../log/index.ts';
import type { QueryRow, ReplicationConnection } from './replication-connection.ts';

const PREFIX = 'dormouse_';
const PLUGIN = 'test_decoding';
/** The plugin of earlier versions, which read publications that they made in the tenant's database. */
const OLDER_PLUGIN = 'pgoutput';

/**
 * Each epoch has its own slot: a copied database brings along the slot of its parent, which must not be taken for the
 * copy's own.
 */
export function slotName(epoch: Epoch): string {
  return `${PREFIX}events_${epoch}`;
}
/** The first major version whose CREATE_REPLICATION_SLOT takes options in parentheses. */
const OPTIONS_SINCE = 15;

function olderSlotName(epoch: Epoch): string {
  return `${PREFIX}${epoch}`;
}

function lsnOf(text: string | null | undefined): Lsn {
  const lsn = parseLsn(text ?? '');
  if (lsn === undefined) throw new ProtocolError(`not an LSN: ${text}`);
  return lsn;
}

/** The epoch has its slot, of the plugin that is read: nothing has to be made before users may write. */
export function hasSlot({ history }: LogState): boolean {
  return history?.plugin === PLUGIN;
}

interface Slot {
  readonly name: string;
  readonly plugin: string;
  readonly active: boolean;
  readonly lost: boolean;
  readonly confirmed: Lsn | undefined;
}

function slotOf(row: QueryRow): Slot {
  const [name, plugin, active, lost, confirmed] = row;
  return {
    name: name ?? '',
    plugin: plugin ?? '',
    active: active === 't',
    lost: lost === 't',
    confirmed: confirmed === null || confirmed === undefined ? undefined : parseLsn(confirmed),
  };
}

/**
 * Makes sure that the log's epoch has a usable slot on this server's history; the state that it gives says where to go
 * on from. A slot that is gone or lost, a server whose history is another one or shorter than the log, a slot that is
 * ahead of the log: each means that events are lost for good, and becomes a new epoch that begins with a gap.
 */
export async function ensureSlot(
  connection: ReplicationConnection,
  log: EventLog,
  state: LogState,
  logger: Logger,
): Promise<LogState> {
  const [system] = await connection.query('IDENTIFY_SYSTEM');
  const systemId = system?.[0];
  const timeline = Number(system?.[1]);
  const flushed = lsnOf(system?.[2]);
  assert(typeof systemId === 'string', 'IDENTIFY_SYSTEM names the system');
  const slots = (
    await connection.query(
      `SELECT slot_name, plugin, active, wal_status = 'lost' OR pg_catalog.to_jsonb(s)->>'invalidation_reason' IS NOT NULL,
         confirmed_flush_lsn
       FROM pg_catalog.pg_replication_slots s WHERE slot_name LIKE 'dormouse\\_%' AND slot_type = 'logical'
         AND database = pg_catalog.current_database()`,
    )
  ).map(slotOf);

  let mine = slots.find((slot) => slot.name === slotName(state.epoch) && slot.plugin === PLUGIN);
  const older = slots.find((slot) => slot.name === olderSlotName(state.epoch) && slot.plugin === OLDER_PLUGIN);
  if (state.history !== undefined && !hasSlot(state) && older !== undefined) {
    // The new slot is made before the older one is asked: no commit can fall between the two.
    const start = mine?.confirmed ?? (await createSlot(connection, state.epoch));
    slots.push({ name: slotName(state.epoch), plugin: PLUGIN, active: false, lost: false, confirmed: start });
    const broken =
      brokenHistory(state, older, { systemId, timeline, flushed }) ??
      (await unread(connection, older, state.storedLsn, start));
    if (broken === undefined) {
      state = await log.begin({ systemId, timeline, plugin: PLUGIN }, start);
    } else {
      const said = { reason: broken, epoch: state.epoch };
      logger.log('warn', 'what an earlier version had not read is gone; a gap follows', said);
      state = await log.newEpoch();
      mine = undefined;
    }
  } else if (state.history !== undefined) {
    const broken = brokenHistory(state, mine, { systemId, timeline, flushed });
    if (broken !== undefined) {
      logger.log('warn', 'the event history is broken; a gap follows', { reason: broken, epoch: state.epoch });
      state = await log.newEpoch();
      mine = undefined;
    }
  } else if (mine?.lost === true) {
    // The slot was lost before its first use: another one takes its name.
    await connection.query(`SELECT pg_catalog.pg_drop_replication_slot('${mine.name}')`);
    mine = undefined;
  }

  for (const slot of slots) {
    // An active slot still belongs to a connection that is about to end; the next start drops it.
    if (slot.name !== slotName(state.epoch) && !slot.active) {
      await connection.query(`SELECT pg_catalog.pg_drop_replication_slot('${slot.name}')`);
    }
  }
  if (state.history !== undefined) return state;

  let start = mine?.confirmed;
  start ??= await createSlot(connection, state.epoch);
  return log.begin({ systemId, timeline, plugin: PLUGIN }, start);
}

/** Makes the slot of an epoch and gives its start: the slot has every transaction that commits behind it. */
async function createSlot(connection: ReplicationConnection, epoch: Epoch): Promise<Lsn> {
  try {
    const [created] = await connection.query(
      `CREATE_REPLICATION_SLOT ${slotName(epoch)} LOGICAL ${PLUGIN} ${connection.major >= OPTIONS_SINCE ? "(SNAPSHOT 'nothing')" : 'NOEXPORT_SNAPSHOT'}`,
    );
    return lsnOf(created?.[1]);
  } catch (error) {
    throw knownFailure(error);
  }
}

/** Tells a build without the decoding plugin by its error, 58P01 (`undefined_file`). */
export function knownFailure(error: unknown): unknown {
  return error instanceof PostgresError && error.code === '58P01' ? new DecodingMissing(error) : error;
}

/** The programs of this server cannot decode its changes. */
export class DecodingMissing extends Error {
  override readonly name = 'DecodingMissing';
  constructor(cause: Error) {
    super(
      `This build of PostgreSQL has no ${PLUGIN}, which events are read with: install its contrib modules beside the programs that --pg-bin names. The database serves; it has no events.`,
      { cause },
    );
  }
}

/**
 * Says why changes before the new slot's start are lost; undefined if the log has them all. The older slot's
 * changes are only looked for, never read.
 */
async function unread(
  connection: ReplicationConnection,
  older: Slot,
  storedLsn: Lsn | undefined,
  start: Lsn,
): Promise<string | undefined> {
  try {
    if (older.confirmed !== undefined && storedLsn !== undefined && storedLsn > older.confirmed) {
      await connection.query(
        `SELECT pg_catalog.pg_replication_slot_advance('${older.name}', '${formatLsn(storedLsn)}')`,
      );
    }
    const rows = await connection.query(
      `SELECT 1 FROM pg_catalog.pg_logical_slot_peek_binary_changes('${older.name}', '${formatLsn(start)}', 1,
         'proto_version', '1', 'publication_names', 'dormouse,dormouse_listed') LIMIT 1`,
    );
    return rows.length === 0 ? undefined : 'changes that were not read yet';
  } catch (error) {
    // 55006: the ending connection of an earlier platform still has the slot.
    if (error instanceof PostgresError && error.code === '55006') throw error;
    return String(error);
  }
}

function brokenHistory(
  state: LogState,
  slot: Slot | undefined,
  server: { readonly systemId: string; readonly timeline: number; readonly flushed: Lsn },
): string | undefined {
  const { history, storedLsn } = state;
  assert(history !== undefined && storedLsn !== undefined, 'a begun epoch has a position');
  if (slot === undefined) return 'the slot is gone';
  if (slot.lost) return 'the slot lost its WAL';
  if (history.systemId !== server.systemId) return 'another server';
  if (history.timeline !== server.timeline) return 'another timeline';
  if (storedLsn > server.flushed) return 'the server is older than the log';
  if (slot.confirmed !== undefined && slot.confirmed > storedLsn) return 'the slot is ahead of the log';
  return undefined;
}
