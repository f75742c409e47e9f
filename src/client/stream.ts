import { EventReader, type EventReaderHandlers } from './event-reader.js';
import { retryAfter } from './retry.js';
import { later } from './timing.js';

/** A stream to open. */
export interface StreamRequest extends EventReaderHandlers {
  /** Sends the request. */
  readonly send: (signal: AbortSignal) => Promise<Response>;
  /** Returns the silence after which the stream counts as dead, in ms. Called after each part; any byte is a sign of life. */
  readonly silenceMs: () => number;
  /** Ends it. */
  readonly signal: AbortSignal;
  /** Called with bytes. */
  onHeard(): void;
}

/** The end of a stream. */
export type StreamEnd =
  /** The request's own signal was aborted. */
  | { readonly kind: 'closed' }
  /** It was open, and then ended, broke, or fell silent. */
  | { readonly kind: 'ended'; readonly reason: string }
  /** There was no stream, but another answer, or none at all (status 0). */
  | { readonly kind: 'refused'; readonly status: number; readonly reason: string; readonly retryAfterMs?: number };

/** Opens a stream and reads it to its end. Never throws. */
export async function readStream(request: StreamRequest): Promise<StreamEnd> {
  const { signal } = request;
  const ending = new AbortController();
  let silentMs: number | undefined;
  let cancel = () => {};
  const heard = () => {
    cancel();
    const ms = request.silenceMs();
    cancel = later(ms, () => {
      silentMs = ms;
      ending.abort();
    });
  };
  const abort = () => ending.abort();
  signal.addEventListener('abort', abort);
  if (signal.aborted) abort();
  let open = false;
  try {
    heard();
    const response = await request.send(ending.signal);
    heard();
    const refused = refusalOf(response);
    if (refused) return refused;
    open = true;
    const reader = new EventReader(request);
    const body = response.body?.getReader();
    for (let part = await body?.read(); part && !part.done; part = await body?.read()) {
      if (signal.aborted) break;
      request.onHeard();
      reader.feed(part.value);
      heard();
    }
    return signal.aborted ? { kind: 'closed' } : { kind: 'ended', reason: 'the server ended the stream' };
  } catch (error) {
    if (signal.aborted) return { kind: 'closed' };
    const reason = silentMs === undefined ? String(error) : `silent for ${silentMs / 1000} s`;
    return open ? { kind: 'ended', reason } : { kind: 'refused', status: 0, reason };
  } finally {
    cancel();
    signal.removeEventListener('abort', abort);
    abort(); // frees the connection
  }
}

function refusalOf(response: Response): StreamEnd | undefined {
  const { status, headers } = response;
  const type = headers.get('Content-Type') ?? 'nothing';
  const retryAfterMs = retryAfter(headers);
  const rest = retryAfterMs === undefined ? {} : { retryAfterMs };
  if (status !== 200) return { kind: 'refused', status, reason: `the server answered ${status}`, ...rest };
  if (type.startsWith('text/event-stream')) return undefined;
  return { kind: 'refused', status: 0, reason: `expected text/event-stream, got ${type}: does a proxy answer?` };
}
