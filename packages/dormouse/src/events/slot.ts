import { assert, type Epoch, type Logger } from '../base/index.ts';
import { type Lsn, ProtocolError, parseLsn } from '../wire/index.ts';
import type { EventLog, LogState } from './event-log.ts';
import type { QueryRow, ReplicationConnection } from './replication-connection.ts';

const PREFIX = 'dormouse_';

/** Each epoch has its own slot: a copied database brings its parent's along, and it must not be taken for ours. */
export function slotName(epoch: Epoch): string {
  return `${PREFIX}${epoch}`;
}

function lsnOf(text: string | null | undefined): Lsn {
  const lsn = parseLsn(text ?? '');
  if (lsn === undefined) throw new ProtocolError(`not an LSN: ${text}`);
  return lsn;
}

interface Slot {
  readonly name: string;
  readonly active: boolean;
  readonly lost: boolean;
  readonly confirmed: Lsn | undefined;
}

function slotOf(row: QueryRow): Slot {
  const [name, active, lost, confirmed] = row;
  return {
    name: name ?? '',
    active: active === 't',
    lost: lost === 't',
    confirmed: confirmed === null || confirmed === undefined ? undefined : parseLsn(confirmed),
  };
}

/**
 * Makes sure that the log's epoch has a usable slot on this server's history; the state it gives says where to go on from.
 * A slot that is gone or lost, a server whose history is another one or shorter than the log, a slot that is ahead of the log: each
 * means events nobody can have any more, and becomes a new epoch that begins with a gap.
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
      `SELECT slot_name, active, wal_status = 'lost' OR invalidation_reason IS NOT NULL, confirmed_flush_lsn
       FROM pg_catalog.pg_replication_slots WHERE slot_name LIKE 'dormouse\\_%'`,
    )
  ).map(slotOf);

  let mine = slots.find((slot) => slot.name === slotName(state.epoch));
  if (state.history !== undefined) {
    const broken = brokenHistory(state, mine, { systemId, timeline, flushed });
    if (broken !== undefined) {
      logger.log('warn', 'the event history is broken; a gap follows', { reason: broken, epoch: state.epoch });
      state = await log.newEpoch();
      mine = undefined;
    }
  } else if (mine?.lost === true) {
    // Died before its first use: the same name serves again.
    await connection.query(`SELECT pg_catalog.pg_drop_replication_slot('${mine.name}')`);
    mine = undefined;
  }

  for (const slot of slots) {
    // An active one still belongs to a connection that is about to end; the next start sees to it.
    if (slot.name !== slotName(state.epoch) && !slot.active) {
      await connection.query(`SELECT pg_catalog.pg_drop_replication_slot('${slot.name}')`);
    }
  }
  if (state.history !== undefined) return state;

  let start = mine?.confirmed;
  if (start === undefined) {
    const [created] = await connection.query(
      `CREATE_REPLICATION_SLOT ${slotName(state.epoch)} LOGICAL pgoutput (SNAPSHOT 'nothing')`,
    );
    start = lsnOf(created?.[1]);
  }
  return log.begin({ systemId, timeline }, start);
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
