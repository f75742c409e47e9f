/** What becomes of the page that a service lives on. */
export interface PageHandlers {
  /** The tab was shown, or the page came back from the back-forward cache. */
  onShown(): void;
  /** The tab was hidden. */
  onHidden(): void;
  /** The page is left: kept in the back-forward cache it must not hold a connection. */
  onLeft(): void;
  /** The network is back. */
  onOnline(): void;
}

/** Whether the page can be seen; outside a browser always. */
export function isVisible(): boolean {
  return typeof document === 'undefined' || document.visibilityState !== 'hidden';
}

/** Watches the page; outside a browser nothing ever happens. Returns how to end that. */
export function watchPage({ onShown, onHidden, onLeft, onOnline }: PageHandlers): () => void {
  if (typeof document === 'undefined' || typeof window === 'undefined') return () => {};
  const watching = new AbortController();
  const { signal } = watching;
  document.addEventListener('visibilitychange', () => (isVisible() ? onShown() : onHidden()), { signal });
  window.addEventListener('pageshow', ({ persisted }) => persisted && onShown(), { signal });
  window.addEventListener('pagehide', onLeft, { signal });
  window.addEventListener('online', onOnline, { signal });
  return () => watching.abort();
}
