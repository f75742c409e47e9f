import type { Settings } from './options.js';
import { backoff, retryAfter } from './retry.js';

/** The stream that calls are for. */
export interface SubscribedStream {
  readonly clientId: string;
  /** Aborted when the stream ends: its subscriptions end with it. */
  readonly signal: AbortSignal;
}

/** How a subscribe ended. */
export type SubscribeResult = 'subscribed' | 'forbidden' | 'stream gone' | 'unauthorized';

/**
 * Subscribes an open stream to a further resource, and tries for as long as the stream lives and nobody has refused.
 * @param since from where changes are told; from now unless given.
 */
export async function subscribe(
  settings: Settings,
  stream: SubscribedStream,
  resource: string,
  since?: string,
): Promise<SubscribeResult> {
  const { logger, retryBaseMs } = settings;
  let refusedToken = false;
  for (let attempt = 0; !stream.signal.aborted; attempt += 1) {
    const response = await post(settings, 'subscribe', stream, { resource, since }, refusedToken);
    if (response === 'no token') return 'unauthorized';
    if (response?.ok) {
      const { watched } = (await response.json().catch(() => ({}))) as { watched?: boolean };
      if (watched === false) logger.debug(`SSE: no table is watched as ${resource}`);
      return 'subscribed';
    }
    switch (response?.status) {
      case 404:
        return 'stream gone';
      case 400:
      case 403:
        logger.debug(`SSE: the server refuses the resource ${resource} (${response.status})`);
        return 'forbidden';
      case 401:
        if (refusedToken) return 'unauthorized';
        refusedToken = true;
        continue;
    }
    const wait = (response && retryAfter(response.headers)) ?? backoff(attempt, retryBaseMs);
    await pause(wait, stream.signal);
  }
  return 'stream gone';
}

/** Unsubscribes; where that fails the next stream comes without it. */
export async function unsubscribe(settings: Settings, stream: SubscribedStream, resource: string): Promise<void> {
  await post(settings, 'unsubscribe', stream, { resource }, false);
}

async function post(
  { url, getToken, fetch, logger }: Settings,
  action: 'subscribe' | 'unsubscribe',
  { clientId, signal }: SubscribedStream,
  body: { readonly resource: string; readonly since?: string | undefined },
  refusedToken: boolean,
): Promise<Response | 'no token' | undefined> {
  try {
    const token = await getToken(refusedToken ? 'refused' : 'connect');
    if (token === null) return 'no token';
    return await fetch(`${url}/${action}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json', Authorization: `Bearer ${token}` },
      body: JSON.stringify({ clientId, ...body }),
      signal,
    });
  } catch (error) {
    if (!signal.aborted) logger.debug(`SSE: ${action} failed`, error);
    return undefined;
  }
}

/** Waits, or until `signal` is aborted. */
function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });
}
