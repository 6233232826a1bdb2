import { describe, expect, it } from 'vitest';
import {
  CAPTURE_TRANSITIONS,
  type CaptureEvent,
  type CaptureState,
  STREAM_TRANSITIONS,
  type StreamEvent,
  type StreamState,
} from './capture-state.ts';

const after = (from: CaptureState, ...events: readonly CaptureEvent[]): CaptureState =>
  events.reduce((state, event) => CAPTURE_TRANSITIONS[state][event], from);
const states = Object.keys(CAPTURE_TRANSITIONS) as CaptureState[];
const events = Object.keys(CAPTURE_TRANSITIONS.stopped) as CaptureEvent[];

describe('the states of a capture', () => {
  it('lead from a start over a lost stream to the next stream', () => {
    expect(after('stopped', 'started')).toBe('capturing');
    expect(after('stopped', 'started', 'lost')).toBe('retrying');
    expect(after('stopped', 'started', 'lost', 'due')).toBe('capturing');
  });

  it('lead from a drained stream to rest, and from a thaw over a pause to the next stream', () => {
    expect(after('capturing', 'drained')).toBe('resting');
    expect(after('capturing', 'drained', 'woke')).toBe('returning');
    expect(after('capturing', 'drained', 'woke', 'due')).toBe('capturing');
  });

  it('take the end of the stream for no loss while capture rests or returns', () => {
    expect(after('capturing', 'drained', 'lost')).toBe('resting');
    expect(after('capturing', 'drained', 'woke', 'lost')).toBe('returning');
  });

  it('open no stream in a rest, whatever happens but a thaw or a start', () => {
    const leaving = events.filter((event) => after('resting', event) !== 'resting');
    expect(leaving.sort()).toEqual(['started', 'stopped', 'woke']);
  });

  it('wait for the next start where the server cannot decode changes', () => {
    expect(after('capturing', 'undecodable')).toBe('unable');
    const leaving = events.filter((event) => after('unable', event) !== 'unable');
    expect(leaving.sort()).toEqual(['started', 'stopped']);
  });

  it('end with a stop from every state, after which only a start begins anew', () => {
    for (const state of states) expect(after(state, 'stopped'), state).toBe('stopped');
    for (const event of events) {
      expect(after('stopped', event), event).toBe(event === 'started' ? 'capturing' : 'stopped');
    }
  });

  it('are all reached, and all lead back to a stream', () => {
    const reached = new Set<CaptureState>(['stopped']);
    for (const state of reached) for (const event of events) reached.add(after(state, event));
    expect([...reached].sort()).toEqual([...states].sort());
    for (const state of states) expect(after(state, 'stopped', 'started'), state).toBe('capturing');
  });
});

describe('the states of a stream', () => {
  const streamAfter = (from: StreamState, ...all: readonly StreamEvent[]): StreamState =>
    all.reduce((state, event) => STREAM_TRANSITIONS[state][event], from);

  it('pause at the bound of memory and flow again well below it, any number of times', () => {
    expect(streamAfter('opening', 'began')).toBe('flowing');
    expect(streamAfter('flowing', 'filled', 'filled')).toBe('paused');
    expect(streamAfter('flowing', 'filled', 'emptied', 'emptied')).toBe('flowing');
    expect(streamAfter('flowing', 'filled', 'emptied', 'filled')).toBe('paused');
  });

  it('keep a pause that came with the first chunk of the stream', () => {
    expect(streamAfter('opening', 'filled', 'began')).toBe('paused');
  });

  it('do not begin by an emptied buffer alone', () => {
    expect(streamAfter('opening', 'emptied')).toBe('opening');
  });

  it('stay ended', () => {
    for (const state of Object.keys(STREAM_TRANSITIONS) as StreamState[]) {
      expect(streamAfter(state, 'ended', 'began', 'filled', 'emptied'), state).toBe('ended');
    }
  });
});
