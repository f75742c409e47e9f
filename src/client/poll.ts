import { endpoint } from './endpoints.js';
import type { Settings, TokenReason } from './options.js';
import type { SentChange } from './registration.js';
import type { Requests } from './requests.js';
import { retryAfter } from './retry.js';
import { later } from './timing.js';

/** A poll to send. */
export interface PollRequest {
  readonly settings: Settings;
  readonly requests: Requests;
  readonly topics: readonly string[];
  readonly since: string | undefined;
  /** The time that the server waits for a change, in s. */
  readonly waitS: number;
  /** The longest time from the end of that wait until the answer, in ms. */
  readonly withinMs: number;
  readonly reason?: TokenReason;
  readonly signal: AbortSignal;
}

/** The result of a poll. */
export type PollEnd =
  | {
      readonly kind: 'answer';
      readonly events: readonly SentChange[];
      readonly position: string;
      readonly readable: boolean;
    }
  | { readonly kind: 'unauthorized' }
  /** The rights of this person were withdrawn while it waited. */
  | { readonly kind: 'revoked' }
  /** Status 0: no answer, or one that is not the server's. */
  | { readonly kind: 'refused'; readonly status: number; readonly reason: string; readonly retryAfterMs?: number }
  | { readonly kind: 'closed' };

/** Asks for what has changed since a position. Never throws. */
export async function poll(request: PollRequest): Promise<PollEnd> {
  const { settings, requests, topics, since, waitS, withinMs, reason = 'connect', signal } = request;
  const ending = new AbortController();
  const abort = () => ending.abort();
  signal.addEventListener('abort', abort);
  let cancel = () => {};
  try {
    const authorized = await requests.authorize(reason);
    if (!authorized) return { kind: 'unauthorized' };
    const url = endpoint(settings.url, 'poll', {
      wait: String(waitS),
      lastEventId: since,
      resources: topics.join(','),
    });
    cancel = later(waitS * 1000 + withinMs, abort);
    const response = await requests.send(url, authorized, { signal: ending.signal });
    const { status, headers } = response;
    if (status === 401) {
      requests.refuse(authorized);
      return { kind: 'refused', status, reason: 'the server refuses the token' };
    }
    if (status === 403 && (await codeOf(response)) === 'revoked') return { kind: 'revoked' };
    if (status !== 200) {
      const retryAfterMs = retryAfter(headers);
      const rest = retryAfterMs === undefined ? {} : { retryAfterMs };
      return { kind: 'refused', status, reason: `the server answered ${status} to a poll`, ...rest };
    }
    const body: unknown = await response.json();
    const answer = answerOf(body);
    return answer ?? { kind: 'refused', status: 0, reason: 'a poll was answered by something else than the server' };
  } catch (error) {
    return signal.aborted ? { kind: 'closed' } : { kind: 'refused', status: 0, reason: String(error) };
  } finally {
    cancel();
    signal.removeEventListener('abort', abort);
    abort();
  }
}

/** Reads the code of an error; undefined where the answer is not the server's. */
async function codeOf(response: Response): Promise<string | undefined> {
  const body = (await response.json().catch(() => undefined)) as { error?: { code?: string } } | undefined;
  return body?.error?.code;
}

function answerOf(body: unknown): PollEnd | undefined {
  const { events, position, readable } = (body ?? {}) as Record<string, unknown>;
  if (!Array.isArray(events) || typeof position !== 'string') return undefined;
  return { kind: 'answer', events: events as SentChange[], position, readable: readable !== false };
}
