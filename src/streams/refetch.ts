import { type LoggedChange, refetchOf } from '../change.js';
import type { ChangeFeed } from '../feed/change-feed.js';
import { formatTopic, parseTopic } from '../scope.js';
import type { StreamRights } from './rights.js';
import { EVERY_RESOURCE } from './subscription.js';

/** Returns whether a change says no more than {@link refetchOf} for several changes that became one. */
export function sumsUp({ operation, keys, reason }: LoggedChange): boolean {
  return operation === undefined && keys === undefined && reason === undefined;
}

/** Makes one change per topic out of many. A resync stays one: it says more than "something changed". */
export function summarize(changes: readonly LoggedChange[]): LoggedChange[] {
  const reasons = new Map(changes.map((change) => [formatTopic(change), change.reason]));
  return Array.from(reasons, ([topic, reason]) => refetchOf(topic, reason));
}

/**
 * Lists the topics to refetch when what their subscriber missed cannot be replayed. A scope of a resource that is in the list
 * as a whole is not.
 * @param topics of its subscriptions; with `*`, all that it may receive.
 */
export async function topicsToRefetch(
  feed: ChangeFeed,
  topics: readonly string[],
  rights: Pick<StreamRights, 'authorize' | 'grantedScopes'>,
): Promise<readonly string[]> {
  const all = new Set(topics);
  if (all.delete(EVERY_RESOURCE)) {
    for (const name of await feed.allResources()) if (rights.authorize(name)) all.add(name);
    for (const { text } of rights.grantedScopes) all.add(text);
  }
  return [...all].filter((topic) => {
    const { resource, scope } = parseTopic(topic);
    return !scope || !all.has(resource);
  });
}
