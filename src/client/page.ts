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
  /** The network is gone. */
  onOffline(): void;
  /** Another tab has changed `localStorage`: somebody may have signed in. */
  onStorage(): void;
}

/** Whether the page can be seen; outside a browser always. */
export function isVisible(): boolean {
  return typeof document === 'undefined' || document.visibilityState !== 'hidden';
}

/** Whether the browser says that it has a network; where it says nothing it has. */
export function isOnline(): boolean {
  return typeof navigator === 'undefined' || navigator.onLine !== false;
}

/** Whether this is a page or a worker, and no server that renders pages. */
export function isBrowser(): boolean {
  return typeof document !== 'undefined' || 'WorkerGlobalScope' in globalThis;
}

/** Watches the page; outside a browser nothing ever happens. Returns how to end that. */
export function watchPage(handlers: PageHandlers): () => void {
  if (typeof document === 'undefined' || typeof window === 'undefined') return () => {};
  const watching = new AbortController();
  const { signal } = watching;
  const { onShown, onHidden, onLeft, onOnline, onOffline, onStorage } = handlers;
  document.addEventListener('visibilitychange', () => (isVisible() ? onShown() : onHidden()), { signal });
  window.addEventListener('pageshow', ({ persisted }) => persisted && onShown(), { signal });
  window.addEventListener('pagehide', onLeft, { signal });
  window.addEventListener('online', onOnline, { signal });
  window.addEventListener('offline', onOffline, { signal });
  window.addEventListener('storage', onStorage, { signal });
  return () => watching.abort();
}
