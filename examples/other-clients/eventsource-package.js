import { EventSource } from 'eventsource';

/** Follows a resource with the package `eventsource`, in Node or a browser. @returns how to end that. */
export function listen({ url, resource, getToken, onChange }) {
  let source;
  let timer;
  let lastEventId = '';

  function open() {
    source = new EventSource(`${url}?${new URLSearchParams({ resources: resource, hold: '0', lastEventId })}`, {
      // Asked before each attempt, so a token that has ended is no matter.
      fetch: async (address, init) =>
        fetch(address, { ...init, headers: { ...init.headers, Authorization: `Bearer ${await getToken()}` } }),
    });
    const seen = (event) => {
      lastEventId = event.lastEventId;
    };
    source.addEventListener('connected', seen);
    source.addEventListener('table-update', (event) => {
      seen(event);
      onChange(JSON.parse(event.data));
    });
    // The rights were withdrawn.
    source.addEventListener('revoked', end);
    // Any answer but 200 ends it for good, as in a browser.
    source.addEventListener('error', () => {
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, 5000);
    });
  }

  function end() {
    clearTimeout(timer);
    source.close();
  }

  open();
  return end;
}
