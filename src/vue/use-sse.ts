import {
  type ComputedRef,
  computed,
  getCurrentScope,
  hasInjectionContext,
  inject,
  type MaybeRefOrGetter,
  onScopeDispose,
  shallowRef,
  ssrContextKey,
  toValue,
  watch,
} from 'vue';
import type { Change } from '../change.js';
import { type SSEService, sseService } from '../client/sse-service.js';
import type { SSEStatus } from '../client/status.js';
import { Throttle } from '../client/throttle.js';

/** What {@link useSSE} is told. */
export interface UseSSEOptions {
  /** Default: the page's own `sseService`. */
  service?: SSEService | undefined;
  /** Whether changes that this page made itself are passed over. Default false. */
  ignoreOwn?: boolean | undefined;
  /**
   * `onUpdate` is throttled: the first change at once, then at most one call in this time for each resource, in ms, with
   * the keys of up to 100 rows. Default 250; 0 calls it for each change.
   */
  burstMs?: number | undefined;
  /**
   * Up to where the component's data is known: the header `Change-Feed-Position` of the answer that it came from. Then it
   * is told what has changed since, and not once more that it may have missed changes.
   */
  since?: string | null | undefined;
}

/** What {@link useSSE} gives. */
export interface UseSSEReturn {
  readonly status: ComputedRef<SSEStatus>;
  /** See {@link SSEService.staleSince}. */
  readonly staleSince: ComputedRef<number | null>;
  /** See {@link SSEService.nextAttemptAt}. */
  readonly nextAttemptAt: ComputedRef<number | null>;
  readonly connected: ComputedRef<boolean>;
  readonly connecting: ComputedRef<boolean>;
  /** Connects now; ends a rest. */
  connect(): void;
  /** Closes the stream, for all of the page, until `connect()`. */
  disconnect(): void;
}

/**
 * Calls `onUpdate` with the changes of a resource, for as long as the component (or effect scope) lives. It is also
 * called once, with `reason: 'resync'`, where changes may have been missed: before the first connection, for one.
 *
 * @param resource a name, several, or `*`; a ref or getter may change it, and undefined stands for none.
 * @throws {Error} outside of setup() and of an effect scope.
 *
 * @example
 * useSSE('veranstaltung', () => dataTableRef.value?.query.refetch());
 */
export function useSSE(
  resource: MaybeRefOrGetter<string | readonly string[] | undefined>,
  onUpdate: (change: Change) => void,
  { service = sseService, ignoreOwn = false, burstMs = 250, since }: UseSSEOptions = {},
): UseSSEReturn {
  if (!getCurrentScope()) throw new Error('useSSE() has to be called in setup() or in an effect scope');
  const state = shallowRef(service.state);
  const onServer = isRenderedByServer();
  if (!onServer)
    onScopeDispose(
      service.onStatus(() => {
        state.value = service.state;
      }),
    );
  watch(
    () => toValue(resource),
    (names = [], _before, onCleanup) => {
      if (onServer) return;
      const ends = [...new Set([names].flat())].map((name) => {
        const burst = new Throttle(onUpdate, burstMs);
        const listener = (change: Change) => {
          if (!ignoreOwn || !service.isOwn(change)) burst.add(change);
        };
        const off = service.on(name, listener, { since });
        return () => {
          off();
          burst.cancel();
        };
      });
      onCleanup(() => {
        for (const end of ends) end();
      });
    },
    { immediate: true, flush: 'sync' },
  );
  const status = computed(() => state.value.status);
  return {
    status,
    staleSince: computed(() => state.value.staleSince),
    nextAttemptAt: computed(() => state.value.nextAttemptAt),
    connected: computed(() => status.value === 'connected'),
    connecting: computed(() => status.value === 'connecting'),
    connect: () => service.connect(),
    disconnect: () => service.disconnect(),
  };
}

/** Whether a server renders the page: it has nobody to tell, and never ends a scope. */
function isRenderedByServer(): boolean {
  return hasInjectionContext() && inject(ssrContextKey, undefined) !== undefined;
}
