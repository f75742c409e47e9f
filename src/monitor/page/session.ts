/** The name of the token in the tab's storage: it is gone when the tab is closed. */
const NAME = 'pg-change-feed.monitor.token';

/** Returns the token of this tab; null where there is none, and cookies may say who asks. */
export function tokenOfTab(): string | null {
  return sessionStorage.getItem(NAME);
}

/** Keeps a token for this tab. */
export function keepToken(token: string): void {
  sessionStorage.setItem(NAME, token.trim());
}

/** Forgets the token. */
export function forgetToken(): void {
  sessionStorage.removeItem(NAME);
}

/** Takes a token that is handed over as `/monitor#token=…`, and removes it from the address at once. */
export function takeTokenFromAddress(): void {
  const token = new URLSearchParams(location.hash.slice(1)).get('token');
  if (!token) return;
  keepToken(token);
  history.replaceState(null, '', location.pathname + location.search);
}
