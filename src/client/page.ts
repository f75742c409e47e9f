/** The events of the page that a service is in. */
export interface PageHandlers {
  /** The tab was shown, or the page came back from the back-forward cache. */
  onShown(): void;
  /** The tab was hidden. */
  onHidden(): void;
  /** The page was left: in the back-forward cache it must not hold a connection. */
  onLeft(): void;
  /** The network is back. */
  onOnline(): void;
  /** The network is gone. */
  onOffline(): void;
  /** Another tab has changed `localStorage`: somebody may have signed in. */
  onStorage(): void;
}

/** Tells whether the page is visible; outside a browser always. */
export function isVisible(): boolean {
  return typeof document === 'undefined' || document.visibilityState !== 'hidden';
}

/** Tells whether the browser has a network, as far as it knows. */
export function isOnline(): boolean {
  return typeof navigator === 'undefined' || navigator.onLine !== false;
}

/** Tells whether this is a page or a worker, and no server that renders pages. */
export function isBrowser(): boolean {
  return typeof document !== 'undefined' || 'WorkerGlobalScope' in globalThis;
}

/** Watches the page; outside a browser nothing happens. @returns a function that ends it. */
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
