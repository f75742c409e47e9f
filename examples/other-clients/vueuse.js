import { useEventSource } from '@vueuse/core';
import { effectScope, watch } from 'vue';

/** Follows a resource with useEventSource of VueUse. In setup() no scope is needed. @returns how to end that. */
export function listen({ url, resource, getToken, onChange }) {
  const scope = effectScope();
  // No refs: a URL that changes would begin another stream with each event.
  let token = '';
  let position = '';
  const address = () =>
    `${url}?${new URLSearchParams({ resources: resource, hold: '0', token, lastEventId: position })}`;
  scope.run(() => {
    const source = useEventSource(address, ['connected', 'table-update', 'expired', 'revoked'], {
      immediate: false,
      // After any answer but 200 it makes a new EventSource, with the address of then.
      autoReconnect: { delay: 5000 },
      // An object is another each time. Of two equal texts a watcher would see one.
      serializer: { read: (text) => JSON.parse(text) },
    });
    const begin = async () => {
      token = await getToken();
      if (scope.active) source.open();
    };
    watch(
      source.data,
      (change) => {
        if (source.event.value === 'table-update') onChange(change);
        if (source.event.value === 'expired') begin();
        // The rights were withdrawn.
        if (source.event.value === 'revoked') source.close();
      },
      // Each event by itself
      { flush: 'sync' },
    );
    watch(source.lastEventId, (id) => {
      position = id ?? position;
    });
    // The token may have ended meanwhile.
    watch(source.status, async (status) => {
      if (status === 'CLOSED') token = await getToken();
    });
    begin();
  });
  return () => scope.stop();
}
