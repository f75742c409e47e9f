import { requireRights } from '../../streams/subscriptions.js';
import { revokedError } from '../caller.js';
import { requireScopes } from '../declared-scopes.js';
import { stopsError } from '../http-error.js';
import { requestedTopics, resumePosition } from '../stream-query.js';
import type { FeedHandler, HandlerParts } from './feed-handlers.js';

/** The headers of a stream. */
export const STREAM_HEADERS = {
  'Content-Type': 'text/event-stream; charset=utf-8',
  'Cache-Control': 'no-cache, no-transform',
  // Else nginx keeps events back until its buffer is full
  'X-Accel-Buffering': 'no',
};

/** Makes the handler of `GET /api/events`, which opens a stream. */
export function streamHandler(parts: HandlerParts): FeedHandler {
  const { changes, streams, limits, maxSubscriptions, reauthorization } = parts;
  return async (exchange, askCaller) => {
    const { parameters } = exchange;
    const begun = performance.now();
    const { subject, rights, expiresAt } = await askCaller();
    const topics = requestedTopics(parameters.resources, maxSubscriptions);
    requireRights(topics, rights);
    await requireScopes(changes, topics, rights);
    // Meanwhile the rights may have been withdrawn.
    if (streams.revoked.since(subject, begun)) throw revokedError();
    const since = resumePosition(exchange);

    if (streams.closed) throw stopsError();
    if (exchange.isOver) return;
    const leave = limits.admit(subject);
    let forget = () => {};
    const client = streams.open({
      socket: exchange.openStream(STREAM_HEADERS),
      subject,
      rights,
      topics,
      // A client that names all its topics in the URL needs no time to subscribe by POST.
      hold: parameters.hold !== '0',
      onClose: () => {
        leave();
        forget();
      },
      expiresAt,
      ...(since !== undefined && { since }),
    });
    if (reauthorization) forget = reauthorization.add(client, askCaller);
  };
}
