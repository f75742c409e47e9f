import type { LoggedChange } from '../change.js';
import type { ChangeFeed } from '../feed/change-feed.js';
import { EVERY_RESOURCE } from './subscription.js';

/**
 * Makes the change that says: something changed in this resource, refetch it. It names no operation and no keys.
 * @param reason `resync` where changes were missed and cannot be replayed; absent where several changes became one.
 */
export function refetchOf(resource: string, reason?: LoggedChange['reason']): LoggedChange {
  return reason ? { resource, reason } : { resource };
}

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
