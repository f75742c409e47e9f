import { endpoint } from './endpoints.js';
import type { Settings } from './options.js';
import type { Requests } from './requests.js';
import { backoff, retryAfter } from './retry.js';
import { pause } from './timing.js';

/** What calls for a stream stand on. */
export interface SubscriptionCalls {
  readonly settings: () => Settings;
  readonly requests: Requests;
  /** The server's name for the stream. */
  readonly clientId: string;
  readonly resource: string;
  /** Whether somebody listens still. */
  readonly isWanted: () => boolean;
  /** Aborted when the stream ends: its subscriptions end with it. */
  readonly signal: AbortSignal;
}

/** How a subscribe ended; `over`: nobody wants it any more. */
export type SubscribeResult = 'subscribed' | 'refused' | 'stream gone' | 'over';

/** Subscribes an open stream to a further resource, and tries for as long as the stream lives and somebody listens. */
export async function subscribe(call: SubscriptionCalls): Promise<SubscribeResult> {
  const { settings, requests, resource, isWanted, signal } = call;
  const begun = performance.now();
  let refusedToken = false;
  while (!signal.aborted && isWanted()) {
    const response = await post(call, 'subscribe', refusedToken);
    if (signal.aborted) break;
    if (response?.ok) {
      const { watched } = (await response.json().catch(() => ({}))) as { watched?: boolean };
      if (watched === false) settings().logger.debug(`SSE: no table is watched as ${resource}`);
      return 'subscribed';
    }
    if (response?.status === 404) return 'stream gone';
    if (response?.status === 400 || response?.status === 403) {
      await warn(call, response);
      return 'refused';
    }
    if (response?.status === 401 && !refusedToken) {
      refusedToken = true;
      continue;
    }
    refusedToken = false;
    const wait = response && retryAfter(response.headers);
    await pause(wait ?? backoff(performance.now() - begun, settings().retryBaseMs), signal);
    requests.forgive();
  }
  return 'over';
}

/** Unsubscribes; where that fails the next stream comes without it. */
export async function unsubscribe(call: SubscriptionCalls): Promise<void> {
  await post(call, 'unsubscribe', false);
}

/** The listener is never told of anything: that has to be seen. */
async function warn({ settings, resource }: SubscriptionCalls, response: Response): Promise<void> {
  const { logger } = settings();
  const body = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
  const text = `SSE: the server refuses the resource ${resource} (${response.status})`;
  (logger.warn ?? logger.debug).call(logger, body.error?.message ? `${text}: ${body.error.message}` : text);
}

async function post(
  { settings, requests, clientId, resource, signal }: SubscriptionCalls,
  action: 'subscribe' | 'unsubscribe',
  refusedToken: boolean,
): Promise<Response | undefined> {
  try {
    const authorized = await requests.authorize(refusedToken ? 'refused' : 'connect');
    if (!authorized) return undefined;
    authorized.headers.set('Content-Type', 'application/json');
    const body = JSON.stringify({ clientId, resource });
    const url = endpoint(settings().url, action, {});
    const response = await requests.send(url, authorized, { method: 'POST', body, signal });
    if (response.status === 401) requests.refuse(authorized);
    return response;
  } catch (error) {
    if (!signal.aborted) settings().logger.debug(`SSE: ${action} failed`, error);
    return undefined;
  }
}
