import { isAtLeast, parsePosition } from '../feed/log/position.js';
import type { Settings } from './options.js';
import { poll } from './poll.js';
import type { Registration } from './registration.js';
import type { Registrations } from './registrations.js';
import type { Requests } from './requests.js';
import { backoff } from './retry.js';
import { pause } from './timing.js';

/** The longest wait for an answer, in ms: it may come over a slow network. */
const ANSWER_MS = 45_000;

/** The parts of {@link catchUp}. */
export interface CatchUpOptions {
  readonly settings: () => Settings;
  readonly requests: Requests;
  readonly registrations: Registrations;
}

/**
 * Passes to listeners what they have missed since positions of their own, with one poll for each position; their live
 * changes wait already. It tries until the stream ends. Then the listeners have received nothing, and the next stream begins
 * anew.
 */
export function catchUp(options: CatchUpOptions, late: readonly Registration[], signal: AbortSignal): void {
  const groups = new Map<string, Registration[]>();
  for (const registration of late) {
    const since = registration.behind?.since;
    if (since === undefined) continue;
    groups.set(since, [...(groups.get(since) ?? []), registration]);
  }
  for (const [since, group] of groups) void fetchMissed(options, group, since, signal);
}

async function fetchMissed(
  { settings, requests, registrations }: CatchUpOptions,
  group: readonly Registration[],
  since: string,
  signal: AbortSignal,
): Promise<void> {
  const expected = new Map(group.map((registration) => [registration, registration.behind]));
  const topics = [...new Set(group.map(({ topic }) => topic))];
  const begun = performance.now();
  let refusedToken = false;
  while (!signal.aborted) {
    const end = await poll({
      settings: settings(),
      requests,
      topics,
      since,
      waitS: 0,
      withinMs: ANSWER_MS,
      reason: refusedToken ? 'refused' : 'connect',
      signal,
    });
    if (signal.aborted) return;
    const waiting = group.filter((registration) => registration.behind === expected.get(registration));
    if (end.kind === 'answer' && end.readable) {
      const told = (id: string) => includes(end.position, id);
      for (const registration of waiting) registrations.caughtUp(registration, end.events, told);
      return;
    }
    if (end.kind === 'refused' && [400, 403, 404, 405].includes(end.status)) {
      settings().logger.debug('SSE: what was missed cannot be fetched', end.reason);
      for (const registration of waiting) registration.resync();
      return;
    }
    refusedToken = end.kind === 'refused' && end.status === 401 && !refusedToken;
    if (refusedToken) continue;
    const retryAfterMs = end.kind === 'refused' ? end.retryAfterMs : undefined;
    await pause(retryAfterMs ?? backoff(performance.now() - begun, settings().retryBaseMs), signal);
    requests.forgive();
  }
}

/** Tells whether a position includes everything up to another. */
function includes(position: string, other: string): boolean {
  const [one, two] = [parsePosition(position), parsePosition(other)];
  return one !== undefined && two !== undefined && isAtLeast(one, two);
}
