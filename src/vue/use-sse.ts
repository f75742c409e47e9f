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
import { Following, type FollowOptions, topicsOf } from '../client/following.js';
import { sseService } from '../client/sse-service.js';
import type { SSEStatus } from '../client/status.js';
import { type LiveResources, resourcesOf } from './live-resources.js';

/** Options of {@link useSSE}. */
export interface UseSSEOptions extends Omit<FollowOptions, 'since'> {
  /**
   * The position of the component's data: the header `Change-Feed-Position` of the answer that it came from. The component
   * then receives the changes since, instead of a first `reason: 'resync'`. A ref or getter is read with each new resource.
   */
  readonly since?: MaybeRefOrGetter<string | null | undefined>;
}

/** The result of {@link useSSE}. */
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
 * Calls `onUpdate` with the changes of a resource or a scope, for as long as the component (or effect scope) lives. It is
 * also called once, with `reason: 'resync'`, where changes may have been missed, for example before the first connection.
 *
 * @param resource a name, a scope, several, or `*`. A ref or getter may change it, or a value of its scope; undefined means
 *   none.
 * @throws {Error} outside of setup() and of an effect scope.
 * @throws {TypeError} for a text that is no scope.
 *
 * @example
 * useSSE('veranstaltung', () => dataTableRef.value?.query.refetch());
 * @example
 * useSSE({ resource: 'anmeldung', scope: { veranstaltung_id: id } }, ({ keys }) => refetch(keys)); // id: a ref
 */
export function useSSE(
  resource: LiveResources,
  onUpdate: (change: Change) => void,
  options: UseSSEOptions = {},
): UseSSEReturn {
  if (!getCurrentScope()) throw new Error('useSSE() has to be called in setup() or in an effect scope');
  const { service = sseService, since, ...rest } = options;
  const state = shallowRef(service.state);
  if (!isRenderedByServer()) {
    const offStatus = service.onStatus(() => {
      state.value = service.state;
    });
    const following = new Following(onUpdate, { ...rest, service });
    watch(
      () => topicsOf(resourcesOf(resource)),
      (topics, before) => {
        if (topics.join() !== before?.join()) following.set(topics, toValue(since));
      },
      { immediate: true, flush: 'sync' },
    );
    onScopeDispose(() => {
      offStatus();
      following.end();
    });
  }
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

/** Tells whether a server renders the page: it has nobody to tell, and never ends a scope. */
function isRenderedByServer(): boolean {
  return hasInjectionContext() && inject(ssrContextKey, undefined) !== undefined;
}
