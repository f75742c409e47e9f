import { z } from 'zod';
import { parseTopic } from '../../scope.js';
import { EVERY_RESOURCE } from '../../streams/subscription.js';
import { isAuthorized, requirePosition } from '../../streams/subscriptions.js';
import { requireScopes } from '../declared-scopes.js';
import { jsonAnswer } from '../exchange.js';
import { requireTopic } from '../stream-query.js';
import type { FeedHandler, HandlerParts } from './feed-handlers.js';

const body = z.strictObject({
  clientId: z.string().min(1).max(100),
  resource: z.string(),
  since: z.string().optional(),
});
const bodies: Record<'subscribe' | 'unsubscribe', z.ZodType<z.infer<typeof body>>> = {
  subscribe: body,
  unsubscribe: body.omit({ since: true }),
};

/** Makes the handler of `POST /api/events/subscribe` or `/unsubscribe`. */
export function subscribeHandler(
  action: 'subscribe' | 'unsubscribe',
  { changes, subscriptions }: HandlerParts,
): FeedHandler {
  return async (exchange, askCaller) => {
    const { subject, rights } = await askCaller();
    const { clientId, since, ...given } = bodies[action].parse(await exchange.json());
    const resource = requireTopic(given.resource);
    if (since !== undefined) requirePosition(since);
    const authorized = isAuthorized(rights, resource);
    if (authorized && action === 'subscribe') await requireScopes(changes, [resource], rights);
    await subscriptions.carryOut({
      action,
      clientId,
      subject,
      resource,
      authorized,
      since,
    });
    const watched = resource === EVERY_RESOURCE || (await changes.isWatched(parseTopic(resource).resource));
    return jsonAnswer({ success: true, resource, watched });
  };
}
