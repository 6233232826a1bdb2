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
  it('after a start a stream is opened, and after a lost stream and a pause the next one', () => {
    expect(after('stopped', 'started')).toBe('capturing');
    expect(after('stopped', 'started', 'lost')).toBe('retrying');
    expect(after('stopped', 'started', 'lost', 'due')).toBe('capturing');
  });

  it('a drained stream is followed by rest, and a thaw by a pause and the next stream', () => {
    expect(after('capturing', 'drained')).toBe('resting');
    expect(after('capturing', 'drained', 'woke')).toBe('returning');
    expect(after('capturing', 'drained', 'woke', 'due')).toBe('capturing');
  });

  it('the end of the stream is no loss while capture rests or returns from rest', () => {
    expect(after('capturing', 'drained', 'lost')).toBe('resting');
    expect(after('capturing', 'drained', 'woke', 'lost')).toBe('returning');
  });

  it('only a thaw, a start or a stop ends a rest', () => {
    const leaving = events.filter((event) => after('resting', event) !== 'resting');
    expect(leaving.sort()).toEqual(['started', 'stopped', 'woke']);
  });

  it('a server that cannot decode changes is left alone until the next start', () => {
    expect(after('capturing', 'undecodable')).toBe('unable');
    const leaving = events.filter((event) => after('unable', event) !== 'unable');
    expect(leaving.sort()).toEqual(['started', 'stopped']);
  });

  it('a stop ends every state, and only a start follows a stop', () => {
    for (const state of states) expect(after(state, 'stopped'), state).toBe('stopped');
    for (const event of events) {
      expect(after('stopped', event), event).toBe(event === 'started' ? 'capturing' : 'stopped');
    }
  });

  it('every state can be reached, and every state leads back to a stream', () => {
    const reached = new Set<CaptureState>(['stopped']);
    for (const state of reached) for (const event of events) reached.add(after(state, event));
    expect([...reached].sort()).toEqual([...states].sort());
    for (const state of states) expect(after(state, 'stopped', 'started'), state).toBe('capturing');
  });
});

describe('the states of a stream', () => {
  const streamAfter = (from: StreamState, ...all: readonly StreamEvent[]): StreamState =>
    all.reduce((state, event) => STREAM_TRANSITIONS[state][event], from);

  it('a stream pauses at the bound of memory and flows again well below it, any number of times', () => {
    expect(streamAfter('opening', 'began')).toBe('flowing');
    expect(streamAfter('flowing', 'filled', 'filled')).toBe('paused');
    expect(streamAfter('flowing', 'filled', 'emptied', 'emptied')).toBe('flowing');
    expect(streamAfter('flowing', 'filled', 'emptied', 'filled')).toBe('paused');
  });

  it('a pause that came with the first chunk of a stream is kept when the stream begins', () => {
    expect(streamAfter('opening', 'filled', 'began')).toBe('paused');
  });

  it('an emptied buffer does not begin a stream', () => {
    expect(streamAfter('opening', 'emptied')).toBe('opening');
  });

  it('a stream that has ended stays ended', () => {
    for (const state of Object.keys(STREAM_TRANSITIONS) as StreamState[]) {
      expect(streamAfter(state, 'ended', 'began', 'filled', 'emptied'), state).toBe('ended');
    }
  });
});
