import { useCallback, useEffect, useMemo, useRef, useSyncExternalStore } from 'react';
import type { Change } from '../change.js';
import { type FollowedResources, Following, type FollowOptions, topicsOf } from '../client/following.js';
import { sseService } from '../client/sse-service.js';
import { IDLE, type SSEState } from '../client/status.js';

/** Options of {@link useSSE}. */
export type UseSSEOptions = FollowOptions;

/** The result of {@link useSSE}: the state of the page's stream, and how to change it. */
export interface UseSSEReturn extends SSEState {
  readonly connected: boolean;
  readonly connecting: boolean;
  /** Connects now; ends a rest. */
  connect(): void;
  /** Closes the stream, for the whole page, until `connect()`. */
  disconnect(): void;
}

/**
 * Calls `onUpdate` with the changes of a resource or a scope while the component is mounted. It is also called once with
 * `reason: 'resync'` where changes may have been missed, for example before the first connection.
 * A function or array that is new in each render does not subscribe again; the newest `onUpdate` is called.
 *
 * @param resource a name, a scope, several, or `*`; undefined means none, also as a value of a scope.
 * @throws {TypeError} for a text that is no scope.
 *
 * @example
 * useSSE({ resource: 'anmeldung', scope: { veranstaltung_id: id } }, ({ keys }) => refetch(keys));
 */
export function useSSE(
  resource: FollowedResources,
  onUpdate: (change: Change) => void,
  { service = sseService, ignoreOwn = false, burstMs = 250, since }: UseSSEOptions = {},
): UseSSEReturn {
  const topics = JSON.stringify(topicsOf(resource).sort());
  const latest = useRef({ onUpdate, since });
  const following = useRef<Following | null>(null);
  // Effects run in this order. StrictMode ends and begins them once more, all three.
  useEffect(() => {
    latest.current = { onUpdate, since };
  });
  useEffect(() => {
    const mine = new Following((change) => latest.current.onUpdate(change), { service, ignoreOwn, burstMs });
    following.current = mine;
    return () => mine.end();
  }, [service, ignoreOwn, burstMs]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: a new Following has to be given the topics
  useEffect(() => {
    following.current?.set(JSON.parse(topics), latest.current.since);
  }, [topics, service, ignoreOwn, burstMs]);

  const subscribe = useCallback((changed: () => void) => service.onStatus(() => changed()), [service]);
  const state = useSyncExternalStore(
    subscribe,
    () => service.state,
    () => IDLE,
  );
  return useMemo(
    () => ({
      ...state,
      connected: state.status === 'connected',
      connecting: state.status === 'connecting',
      connect: () => service.connect(),
      disconnect: () => service.disconnect(),
    }),
    [state, service],
  );
}
