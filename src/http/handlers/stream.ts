import { requireRights } from '../../streams/subscriptions.js';
import { requireScopes } from '../declared-scopes.js';
import { HttpError } from '../http-error.js';
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
    const { subject, rights, expiresAt } = await askCaller();
    const topics = requestedTopics(parameters.resources, maxSubscriptions);
    requireRights(topics, rights);
    await requireScopes(changes, topics, rights);
    const since = resumePosition(exchange);

    if (streams.closed) throw new HttpError('unavailable', 'The server stops', { 'Retry-After': '1' });
    if (exchange.isOver) return;
    const onClose = limits.admit(subject);
    const client = streams.open({
      socket: exchange.openStream(STREAM_HEADERS),
      subject,
      rights,
      topics,
      // A client that names all its topics in the URL needs no time to subscribe by POST.
      hold: parameters.hold !== '0',
      onClose,
      expiresAt,
      ...(since !== undefined && { since }),
    });
    reauthorization?.add(client, askCaller);
  };
}
