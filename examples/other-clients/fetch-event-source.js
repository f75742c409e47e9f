import { fetchEventSource } from '@microsoft/fetch-event-source';

/** Follows a resource with @microsoft/fetch-event-source. @returns how to end that. */
export function listen({ url, resource, getToken, onChange }) {
  const ending = new AbortController();
  let position;

  fetchEventSource(`${url}?${new URLSearchParams({ resources: resource, hold: '0' })}`, {
    signal: ending.signal,
    // The headers of each attempt: it repeats those of the first, and takes an id before its event is whole.
    fetch: async (address, init) => {
      const headers = { ...init.headers, authorization: `Bearer ${await getToken()}` };
      delete headers['last-event-id'];
      if (position) headers['last-event-id'] = position;
      return fetch(address, { ...init, headers });
    },
    async onopen({ ok, status }) {
      if (!ok) throw new Error(`the server answered ${status}`);
    },
    onmessage({ event, id, data }) {
      if (id) position = id;
      if (event === 'table-update') onChange(JSON.parse(data));
      // The rights were withdrawn.
      if (event === 'revoked') ending.abort();
    },
    // The server ends a stream with its token. To throw means to come back.
    onclose() {
      throw new Error('the server ended the stream');
    },
    onerror: () => 5000,
  });
  return () => ending.abort();
}
