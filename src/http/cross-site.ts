import type { Exchange } from './exchange.js';
import { HttpError } from './http-error.js';

/** The kinds of credentials that a browser adds to the requests of any page by itself (RFC 9110, 11.6.2). */
const BY_ITSELF = /^(basic|digest|negotiate|ntlm)\b/i;

/**
 * Refuses a request that a page of another origin has made with a cookie, or another credential that the browser adds by
 * itself: that page acts in the name of the user. A token in the header `Authorization` is no such credential, because a
 * page must know it.
 *
 * Browsers say in `Sec-Fetch-Site` where the page is from (https://www.w3.org/TR/fetch-metadata/). Older ones, and all
 * over plain HTTP, send `Origin` alone. What is no browser sends neither.
 * @param allowed origins of other sites that may call: `https://app.example.org`.
 * @throws {HttpError} forbidden.
 */
export function refuseOtherSites(exchange: Exchange, allowed: readonly string[]): void {
  const origin = exchange.header('Origin');
  if (!isFromOtherOrigin(exchange, origin) || (origin !== undefined && allowed.includes(origin))) return;
  if (exchange.header('Cookie') === undefined && !BY_ITSELF.test(exchange.header('Authorization') ?? '')) return;
  throw new HttpError(
    'forbidden',
    'A page of another origin may not call with cookies, unless allowedOrigins names it',
  );
}

function isFromOtherOrigin(exchange: Exchange, origin: string | undefined): boolean {
  const site = exchange.header('Sec-Fetch-Site');
  if (site !== undefined) return site !== 'same-origin' && site !== 'none';
  if (origin === undefined) return false;
  // A proxy may pass on its own name as Host. A page cannot set either without the server's consent (CORS).
  const hosts = [exchange.header('Host'), exchange.header(':authority'), exchange.header('X-Forwarded-Host')];
  return !URL.canParse(origin) || !hosts.includes(new URL(origin).host);
}
