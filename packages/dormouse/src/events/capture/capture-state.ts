/**
 * What the capture of one database does about its server. The state of the stream itself, while there is one, is
 * {@link StreamState}.
 */
export type CaptureState =
  /** The server is stopped or about to stop: no stream is opened. */
  | 'stopped'
  /** A stream is open or being opened. */
  | 'capturing'
  /** The last stream has ended: the next one is opened after a pause. */
  | 'retrying'
  /** Every change is in the log, and the stream is closed for as long as the server is frozen. */
  | 'resting'
  /** The server has just been thawed: its first query goes before the stream is opened again. */
  | 'returning'
  /** The server's programs cannot decode changes: nothing is tried until the next start, which may be of others. */
  | 'unable';

export type CaptureEvent =
  /** The server runs after a start. */
  | 'started'
  /** The stream has ended, or could not be opened. */
  | 'lost'
  /** The server has said that it cannot decode changes. */
  | 'undecodable'
  /** The pause of `retrying` or `returning` is over. */
  | 'due'
  /** Every change is in the log, and the server is about to be frozen. */
  | 'drained'
  /** The server runs, after a thaw or a start. */
  | 'woke'
  /** The server is about to stop, or has stopped. */
  | 'stopped';

/** Every state's answer to every event. */
export const CAPTURE_TRANSITIONS: Readonly<Record<CaptureState, Readonly<Record<CaptureEvent, CaptureState>>>> = {
  stopped: {
    started: 'capturing',
    lost: 'stopped',
    undecodable: 'stopped',
    due: 'stopped',
    drained: 'stopped',
    woke: 'stopped',
    stopped: 'stopped',
  },
  capturing: {
    started: 'capturing',
    lost: 'retrying',
    undecodable: 'unable',
    due: 'capturing',
    drained: 'resting',
    woke: 'capturing',
    stopped: 'stopped',
  },
  retrying: {
    started: 'retrying',
    lost: 'retrying',
    undecodable: 'unable',
    due: 'capturing',
    drained: 'resting',
    woke: 'retrying',
    stopped: 'stopped',
  },
  // The stream is closed on purpose here: its end is no loss.
  resting: {
    started: 'capturing',
    lost: 'resting',
    undecodable: 'resting',
    due: 'resting',
    drained: 'resting',
    woke: 'returning',
    stopped: 'stopped',
  },
  returning: {
    started: 'returning',
    lost: 'returning',
    undecodable: 'unable',
    due: 'capturing',
    drained: 'resting',
    woke: 'returning',
    stopped: 'stopped',
  },
  unable: {
    started: 'capturing',
    lost: 'unable',
    undecodable: 'unable',
    due: 'unable',
    drained: 'unable',
    woke: 'unable',
    stopped: 'stopped',
  },
};

/** The stream of one connection. */
export type StreamState =
  /** The connection logs in and the slot is checked: no changes come yet. */
  | 'opening'
  /** Changes come. */
  | 'flowing'
  /** As many changes as may be held in memory wait for the log: the socket is not read. */
  | 'paused'
  /** The connection has ended. What the log was given before that may still be on its way. */
  | 'ended';

export type StreamEvent =
  /** The server has begun to stream. */
  | 'began'
  /** Over the bound of memory. */
  | 'filled'
  /** Well below the bound again. */
  | 'emptied'
  | 'ended';

export const STREAM_TRANSITIONS: Readonly<Record<StreamState, Readonly<Record<StreamEvent, StreamState>>>> = {
  // Changes may come in one chunk with the word that the stream begins.
  opening: { began: 'flowing', filled: 'paused', emptied: 'opening', ended: 'ended' },
  flowing: { began: 'flowing', filled: 'paused', emptied: 'flowing', ended: 'ended' },
  paused: { began: 'paused', filled: 'paused', emptied: 'flowing', ended: 'ended' },
  ended: { began: 'ended', filled: 'ended', emptied: 'ended', ended: 'ended' },
};
