import { isAtLeast, type Position, parsePosition } from '../feed/log/position.js';
import type { Settings } from './options.js';
import { poll } from './poll.js';
import type { Registrations } from './registrations.js';
import type { Requests } from './requests.js';
import { later } from './timing.js';

/** The time without a position after which the server is asked, and the time between two questions, in ms. */
const ASK_MS = 1000;

/** The page that waits. */
export interface WaitingPage {
  readonly settings: () => Settings;
  readonly requests: Requests;
  readonly registrations: Registrations;
}

/**
 * Waits until a page has received everything up to a position. Positions come only with events and heartbeats, so this also
 * asks the server: where nothing is missing up to a later position, the wait ends.
 * @throws {TypeError} for a text that is no position.
 * @throws {DOMException} TimeoutError after `timeoutMs`.
 */
export function reach(
  { settings, requests, registrations }: WaitingPage,
  text: string,
  timeoutMs: number,
): Promise<void> {
  const target = parsePosition(text);
  if (!target)
    return Promise.reject(new TypeError(`until: expected a position of this feed, got ${JSON.stringify(text)}`));
  return new Promise((resolve, reject) => {
    const ended = new AbortController();
    const end = () => {
      ended.abort();
      registrations.moved.delete(moved);
      cancel();
      cancelAsk();
    };
    const look = (position: string | undefined) => {
      if (ended.signal.aborted || position === undefined || !includes(parsePosition(position), target)) return;
      end();
      resolve();
    };
    const ask = async () => {
      const { topics, position: since } = registrations;
      const request = { settings: settings(), requests, topics, since, waitS: 0, withinMs: timeoutMs };
      const answer = await poll({ ...request, signal: ended.signal });
      if (answer.kind === 'answer' && answer.readable && answer.events.length === 0) look(answer.position);
      if (!ended.signal.aborted) cancelAsk = later(ASK_MS, () => void ask());
    };
    const moved = () => look(registrations.position);
    registrations.moved.add(moved);
    const cancel = later(timeoutMs, () => {
      end();
      reject(new DOMException(`The position was not reached within ${timeoutMs} ms`, 'TimeoutError'));
    });
    let cancelAsk = later(ASK_MS, () => void ask());
    moved();
  });
}

/** Tells whether a page at a position has what it waits for. After a crash or a restore of the database it does: all is refetched. */
function includes(position: Position | undefined, target: Position): boolean {
  return position !== undefined && (position.epoch !== target.epoch || isAtLeast(position, target));
}
