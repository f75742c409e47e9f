import { endpoint } from './endpoints.js';
import type { StreamEvent } from './event-reader.js';
import type { Settings } from './options.js';
import { readStream, type StreamEnd } from './stream.js';
import { later } from './timing.js';

/** The silence after which a stream is dead, in ms, as long as the server has not said how often it sends heartbeats. */
const DEFAULT_SILENCE_MS = 45_000;
/** A stream is dead that is silent for so many heartbeats. */
const HEARTBEATS = 1.5;

/** A stream that has to begin in time. */
export interface Attempt {
  /** Sends the request. @param onSent to be called when it is its turn. */
  readonly send: (signal: AbortSignal, onSent: () => void) => Promise<Response>;
  /** A stream that has not said `connected` by then is given up, in ms. */
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

/** The silence after which a stream is dead, in ms. @param heartbeatMs between two heartbeats, as the server says it. */
export function silenceOf({ silenceMs }: Settings, heartbeatMs: number | undefined): number {
  return silenceMs ?? (heartbeatMs === undefined ? DEFAULT_SILENCE_MS : heartbeatMs * HEARTBEATS);
}
