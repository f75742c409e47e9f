import { EventReader, type EventReaderHandlers } from './event-reader.js';
import { retryAfter } from './retry.js';

/** A stream to be opened. */
export interface StreamRequest extends EventReaderHandlers {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly fetch: typeof fetch;
  /** A stream that is silent for this long is dead, in ms: any byte is a sign of life. */
  readonly silenceMs: number;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** How a stream ended. */
export type StreamEnd =
  /** By the request's own signal. */
  | { readonly kind: 'closed' }
  /** It had been open, and then ended, broke, or fell silent. */
  | { readonly kind: 'ended'; readonly reason: string }
  /** No stream, but an answer, or none at all (status 0). */
  | { readonly kind: 'refused'; readonly status: number; readonly reason: string; readonly retryAfterMs?: number };

/** Opens a stream and reads it to its end. Never throws. */
export async function readStream(request: StreamRequest): Promise<StreamEnd> {
  const { signal, silenceMs } = request;
  const silence = new AbortController();
  let timer = setTimeout(() => silence.abort(), silenceMs);
  const heard = () => {
    clearTimeout(timer);
    timer = setTimeout(() => silence.abort(), silenceMs);
  };
  const either = new AbortController();
  const abort = () => either.abort();
  for (const each of [signal, silence.signal]) each.addEventListener('abort', abort);
  let open = false;
  try {
    const response = await request.fetch(request.url, {
      headers: { Accept: 'text/event-stream', ...request.headers },
      cache: 'no-store',
      signal: either.signal,
    });
    heard();
    const refused = refusalOf(response);
    if (refused) {
      abort(); // frees the connection
      return refused;
    }
    open = true;
    const reader = new EventReader(request);
    const body = response.body?.getReader();
    for (let part = await body?.read(); part && !part.done; part = await body?.read()) {
      heard();
      if (signal.aborted) break;
      reader.feed(part.value);
    }
    return signal.aborted ? { kind: 'closed' } : { kind: 'ended', reason: 'the server ended the stream' };
  } catch (error) {
    if (signal.aborted) return { kind: 'closed' };
    const reason = silence.signal.aborted ? `nothing was heard for ${silenceMs / 1000} s` : String(error);
    return open ? { kind: 'ended', reason } : { kind: 'refused', status: 0, reason };
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', abort);
    abort();
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
