/** Follows a resource with the browser's own EventSource. @returns how to end that. */
export function listen({ url, resource, getToken, onChange }) {
  let source;
  let timer;
  let ended = false;
  let lastEventId = '';

  async function open() {
    const token = await getToken();
    if (ended) return;
    source = new EventSource(`${url}?${new URLSearchParams({ resources: resource, hold: '0', token, lastEventId })}`);
    const seen = (event) => {
      lastEventId = event.lastEventId;
    };
    source.addEventListener('connected', seen);
    source.addEventListener('table-update', (event) => {
      seen(event);
      onChange(JSON.parse(event.data));
    });
    source.addEventListener('expired', () => {
      source.close();
      open();
    });
    // The rights were withdrawn.
    source.addEventListener('revoked', end);
    // Any answer but 200 ends an EventSource for good; a new one continues where it stopped.
    source.onerror = () => {
      if (source.readyState === EventSource.CLOSED) timer = setTimeout(open, 5000);
    };
  }

  function end() {
    ended = true;
    clearTimeout(timer);
    source?.close();
  }

  open();
  return end;
}
