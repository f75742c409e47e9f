import { endpoint } from './endpoints.js';
import type { StreamEvent } from './event-reader.js';
import type { Settings } from './options.js';
import { readStream, type StreamEnd } from './stream.js';
import { later } from './timing.js';

/** The silence after which a stream counts as dead, in ms, until the server has sent the time between its heartbeats. */
const DEFAULT_SILENCE_MS = 45_000;
/** A stream that is silent for this many heartbeats counts as dead. */
const HEARTBEATS = 1.5;

/** A stream, and the time in which it has to begin. */
export interface Attempt {
  /** Sends the request. @param onSent called when it is sent. */
  readonly send: (signal: AbortSignal, onSent: () => void) => Promise<Response>;
  /** The time after which a stream without `connected` is given up, in ms. */
  readonly deadlineMs: number;
  readonly silenceMs: () => number;
  readonly signal: AbortSignal;
  readonly onHeard: () => void;
  readonly onEvent: (event: StreamEvent) => void;
  readonly onId: (id: string) => void;
  readonly onRetry: (ms: number) => void;
}

/** Opens a stream and reads it to its end. @returns `mute` where it has not begun in time. Never throws. */
export async function attempt({ send, deadlineMs, signal, onEvent, ...rest }: Attempt): Promise<StreamEnd | 'mute'> {
  const late = new AbortController();
  let cancel = () => {};
  const end = await readStream({
    ...rest,
    send: (sending) =>
      send(sending, () => {
        cancel = later(deadlineMs, () => late.abort());
      }),
    onEvent: (event) => {
      if (event.event === 'connected') cancel();
      onEvent(event);
    },
    signal: AbortSignal.any([signal, late.signal]),
  });
  cancel();
  return late.signal.aborted ? 'mute' : end;
}

/** The address of a stream. @param from the position, which a proxy may strip from the headers. */
export function streamUrl({ url }: Settings, from: string | undefined, topics: readonly string[]): string {
  return endpoint(url, '', { resources: topics.join(',') || undefined, lastEventId: from, hold: '0' });
}

/** The silence after which a stream is dead, in ms. @param heartbeatMs the time between two heartbeats of the server. */
export function silenceOf({ silenceMs }: Settings, heartbeatMs: number | undefined): number {
  return silenceMs ?? (heartbeatMs === undefined ? DEFAULT_SILENCE_MS : heartbeatMs * HEARTBEATS);
}
