import { setTimeout as delay } from 'node:timers/promises';
import { atMost } from '../../at-most.js';
import { type LoggedChange, refetchOf } from '../../change.js';
import type { ChangeFeed } from '../../feed/change-feed.js';
import { writePosition } from '../../feed/log/epochs.js';
import type { Position } from '../../feed/log/position.js';
import { isTooLong } from '../../streams/event-batch.js';
import { changeJson } from '../../streams/event-format.js';
import { FollowedTopics } from '../../streams/followed-topics.js';
import { mergeChanges } from '../../streams/merge.js';
import { summarize, topicsToRefetch } from '../../streams/refetch.js';
import { StreamRights } from '../../streams/rights.js';
import { requireRights } from '../../streams/subscriptions.js';
import { revokedError } from '../caller.js';
import { requireScopes } from '../declared-scopes.js';
import { jsonAnswer } from '../exchange.js';
import { HttpError, stopsError } from '../http-error.js';
import { requestedTopics, resumePosition } from '../stream-query.js';
import type { FeedHandler, HandlerParts } from './feed-handlers.js';

/** The time that a poll waits for a change, in s: the default, and the longest. */
const DEFAULT_WAIT_S = 25;
const MAX_WAIT_S = 55;
/** The shortest time that a poll waits for a log that cannot be read, in ms. */
const LEAST_WAIT_MS = 1000;
/** The time between two checks that the log can be read, in ms. */
const CHECK_MS = 500;

/**
 * Makes the handler of `GET /api/events/poll?wait=25&lastEventId=…&resources=…`, for clients behind proxies that keep
 * streams back. The answer is `{"events":[…],"position":"…"}`. It comes at once where something has changed since the
 * position, or where the client sent none. Else it comes with the next change, or without any after `wait` seconds (0 to
 * 55). `"readable":false` says that the server cannot read the log; the position is then the client's. The URL differs
 * from the stream's, because careless caches ignore `Vary`.
 */
export function pollHandler(parts: HandlerParts): FeedHandler {
  const { changes: feed, streams, limits, maxSubscriptions, reauthorizeMs } = parts;
  return async (exchange, askCaller) => {
    const { parameters } = exchange;
    const begun = performance.now();
    const { subject, rights, expiresAt } = await askCaller();
    const topics = requestedTopics(parameters.resources, maxSubscriptions);
    if (topics.length === 0) throw new HttpError('bad_request', 'resources: expected at least one');
    requireRights(topics, rights);
    await requireScopes(feed, topics, rights);
    // Meanwhile the rights may have been withdrawn.
    if (streams.revoked.since(subject, begun)) throw revokedError();
    const since = resumePosition(exchange);
    const waitMs = waitOf(parameters.wait) * 1000;

    if (streams.closed) throw stopsError();
    const leave = limits.admit(subject);
    const followed = new FollowedTopics(topics, new StreamRights(rights));
    const endScopes = followed.hasScopes ? feed.scopes.tell() : () => {};
    const revoked = new AbortController();
    const answered = new AbortController();
    const stopWatching = streams.revoked.watch(subject, () => revoked.abort());
    const leftMs = expiresAt === undefined ? Number.POSITIVE_INFINITY : Math.max(expiresAt - Date.now(), 0);
    const limitMs = Math.min(waitMs, leftMs, reauthorizeMs);
    const [limit, lateLimit] = [alarm(limitMs), alarm(Math.max(limitMs, LEAST_WAIT_MS))];
    try {
      const left = exchange.ending();
      const ended = AbortSignal.any([left, revoked.signal, answered.signal, streams.closing, limit.signal]);
      const late = AbortSignal.any([left, revoked.signal, streams.closing, lateLimit.signal]);
      const body = await answer({ feed, followed, since, ended, late, closing: streams.closing }).catch(
        (error: unknown) => {
          throw streams.closed ? stopsError() : error;
        },
      );
      if (revoked.signal.aborted) throw revokedError();
      return jsonAnswer(body);
    } finally {
      // It may have begun to wait for a change that it did not need.
      answered.abort();
      limit.cancel();
      lateLimit.cancel();
      endScopes();
      // A poll counts as a stream while it waits.
      leave();
      stopWatching();
    }
  };
}

/**
 * Makes a signal that is aborted after a time, in ms. That of `AbortSignal.timeout` never is, on Node.js 20, once it is
 * a part of `AbortSignal.any` and garbage has been collected.
 */
function alarm(ms: number): { readonly signal: AbortSignal; readonly cancel: () => void } {
  const controller = new AbortController();
  const timer = setTimeout(() => controller.abort(), Math.ceil(ms));
  return { signal: controller.signal, cancel: () => clearTimeout(timer) };
}

interface Question {
  readonly feed: ChangeFeed;
  readonly followed: FollowedTopics;
  readonly since: ReturnType<typeof resumePosition>;
  /** A signal that ends the wait for a change. */
  readonly ended: AbortSignal;
  /** A signal that ends the wait for a read under way, too. */
  readonly late: AbortSignal;
  /** A signal that says that the server stops. */
  readonly closing: AbortSignal;
}

async function answer({ feed, followed, since, ended, late, closing }: Question): Promise<string> {
  if (since === undefined) return bodyOf([], feed.position);
  for (;;) {
    const changed = nextChange(feed, followed, ended);
    const reading = since === 'lost' ? 'lost' : await atMost(late, feed.changesSince(since, followed.resources));
    if (reading === undefined) return closing.aborted ? bodyOf([], since as Position) : unreadable(since as Position);
    if (reading === 'lost' || reading.lost) {
      const { position } = feed;
      const missed = await topicsToRefetch(feed, followed.topics, followed.rights);
      const changes = missed.map((topic) => refetchOf(topic, 'resync'));
      return bodyOf(changes, position);
    }
    const changes = followed.changesOf(reading.changes);
    if (changes.length > 0) return bodyOf(mergeChanges(changes), reading.position);
    // While the log cannot be read, an empty answer of memory does not mean that nothing has changed.
    if (!feed.health.database && !(await readableWithin(feed, LEAST_WAIT_MS, ended)))
      return unreadable(since as Position);
    await changed;
    // The next poll receives what came with the end. Another read could meet a feed that has stopped.
    if (ended.aborted) return bodyOf([], reading.position);
  }
}

/** Resolves with the next change of these topics, when the log cannot be read, and when the wait ends. */
function nextChange(feed: ChangeFeed, followed: FollowedTopics, ended: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      stop();
      clearInterval(checking);
      ended.removeEventListener('abort', done);
      resolve();
    };
    const stop = feed.listen({
      onChanges: (changes) => followed.changesOf(changes).length > 0 && done(),
      onLost: done,
    });
    const checking = setInterval(() => feed.health.database || done(), CHECK_MS);
    ended.addEventListener('abort', done);
    if (ended.aborted) done();
  });
}

/** Waits until the log can be read. @returns whether it can. */
async function readableWithin(feed: ChangeFeed, ms: number, ended: AbortSignal): Promise<boolean> {
  const end = performance.now() + ms;
  while (!feed.health.database && !ended.aborted && performance.now() < end) await delay(50);
  return feed.health.database;
}

function unreadable(since: Position): string {
  return JSON.stringify({ events: [], position: writePosition(since), readable: false });
}

function bodyOf(changes: readonly LoggedChange[], position: Position): string {
  let events = changes.map((change) => changeJson(change));
  const length = events.reduce((sum, event) => sum + event.length, 0);
  if (isTooLong(events.length, length)) events = summarize(changes).map((change) => changeJson(change));
  return `{"events":[${events.join(',')}],"position":${JSON.stringify(writePosition(position))}}`;
}

/** Reads `?wait=`. @throws {HttpError} bad_request for anything but a whole number of seconds, 0 to 55. */
function waitOf(query: string | string[] | undefined): number {
  if (query === undefined) return DEFAULT_WAIT_S;
  const seconds = typeof query === 'string' && /^\d{1,3}$/.test(query) ? Number(query) : Number.NaN;
  if (seconds <= MAX_WAIT_S) return seconds;
  throw new HttpError('bad_request', `wait: expected a whole number of seconds, 0 to ${MAX_WAIT_S}`);
}
