import { sseService } from 'pg-change-feed/client';
import { takeTokenFromAddress } from './session.js';

/** Takes a token that is handed over in the address, now and later. Call it before anything else reads the address. */
export function takeTokensFromAddress(): void {
  takeTokenFromAddress();
  // In a tab that is open already, no page is loaded for it.
  window.addEventListener('popstate', () => {
    if (takeTokenFromAddress() && sseService.status !== 'idle') sseService.connect();
  });
}
