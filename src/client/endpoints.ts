/**
 * An address below the events' URL, with its query kept: `/api/events?tenant=acme` and `poll` give
 * `/api/events/poll?tenant=acme`.
 * @param url relative, or absolute, also of another origin; a trailing slash and a hash are left out.
 * @param below `''`, `poll`, `subscribe` or `unsubscribe`.
 * @param parameters take the place of those of the same name; undefined: none of this name.
 */
export function endpoint(url: string, below: string, parameters: Readonly<Record<string, string | undefined>>): string {
  const [withQuery = ''] = url.split('#');
  const at = withQuery.indexOf('?');
  const path = (at < 0 ? withQuery : withQuery.slice(0, at)).replace(/\/+$/, '');
  const query = new URLSearchParams(at < 0 ? '' : withQuery.slice(at + 1));
  for (const [name, value] of Object.entries(parameters)) {
    query.delete(name);
    if (value !== undefined) query.set(name, value);
  }
  // A position and a list stay readable in a log.
  const text = query.toString().replaceAll('%2C', ',').replaceAll('%3A', ':');
  return `${path}${below && `/${below}`}${text && `?${text}`}`;
}
