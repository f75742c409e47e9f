import { onDestroy } from 'svelte';
import { type Readable, readable } from 'svelte/store';
import type { Change } from '../change.js';
import { type FollowedResources, Following, type FollowOptions } from '../client/following.js';
import { isBrowser } from '../client/page.js';
import { sseService } from '../client/sse-service.js';
import type { SSEState } from '../client/status.js';
import { isStore } from './is-store.js';

/** Options of {@link useSSE}. */
export type UseSSEOptions = FollowOptions;

/** The result of {@link useSSE}: a store of the state of the page's stream, and how to change it. */
export interface UseSSEReturn extends Readable<SSEState> {
  /** Connects now; ends a rest. */
  connect(): void;
  /** Closes the stream, for the whole page, until `connect()`. */
  disconnect(): void;
}

/**
 * Calls `onUpdate` with the changes of a resource or a scope until the component is destroyed. It is also called once with
 * `reason: 'resync'` where changes may have been missed, for example before the first connection.
 * Nothing of it is bound to runes, so it serves Svelte 4 and 5. A resource that changes is a store; in Svelte 5
 * `toStore(() => resource)` of `svelte/store` makes one of a rune.
 *
 * @param resource a name, a scope, several, or `*`; undefined means none, also as a value of a scope.
 * @throws {Error} outside of a component's initialisation.
 *
 * @example
 * const live = useSSE('veranstaltung', ({ keys }) => refetch(keys)); // in the markup: {$live.status}
 */
export function useSSE(
  resource: FollowedResources | Readable<FollowedResources>,
  onUpdate: (change: Change) => void,
  options: UseSSEOptions = {},
): UseSSEReturn {
  const { service = sseService } = options;
  const following = new Following(onUpdate, options);
  let unsubscribe = () => {};
  // First, because it throws outside of a component, where nothing would ever end.
  onDestroy(() => {
    unsubscribe();
    following.end();
  });
  // A server that renders the page has nobody to tell.
  if (isBrowser()) {
    if (isStore(resource)) unsubscribe = resource.subscribe((resources) => following.set(resources));
    else following.set(resource);
  }
  const state = readable(service.state, (set) => {
    set(service.state);
    return service.onStatus(() => set(service.state));
  });
  return {
    subscribe: state.subscribe,
    connect: () => service.connect(),
    disconnect: () => service.disconnect(),
  };
}
