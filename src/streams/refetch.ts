import { type LoggedChange, refetchOf } from '../change.js';
import type { ChangeFeed } from '../feed/change-feed.js';
import { EVERY_RESOURCE } from './subscription.js';

/** Returns whether a change says no more than {@link refetchOf} for several changes that became one. */
export function sumsUp({ operation, keys, reason }: LoggedChange): boolean {
  return operation === undefined && keys === undefined && reason === undefined;
}

/** Makes one change per resource out of many. A resync stays one: it says more than "something changed". */
export function summarize(changes: readonly LoggedChange[]): LoggedChange[] {
  const reasons = new Map(changes.map(({ resource, reason }) => [resource, reason]));
  return Array.from(reasons, ([resource, reason]) => refetchOf(resource, reason));
}

/**
 * Lists the resources to refetch when what their subscriber missed cannot be replayed.
 * @param names of its subscriptions; with `*`, all that it may receive.
 */
export async function resourcesToRefetch(
  feed: ChangeFeed,
  names: readonly string[],
  authorize: (resource: string) => boolean,
): Promise<readonly string[]> {
  if (!names.includes(EVERY_RESOURCE)) return names;
  return (await feed.allResources()).filter((name) => authorize(name));
}
