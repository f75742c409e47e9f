import { endpoint } from './endpoints.js';
import { backoff, retryAfter } from './retry.js';
import type { SubscribedStream, SubscriptionsOptions } from './subscriptions.js';
import { pause } from './timing.js';

/** The parts of a call for a stream. */
export interface SubscriptionCall extends SubscribedStream, SubscriptionsOptions {
  readonly topic: string;
  /** True where the topic is new; else nobody listens to it any more. */
  readonly added: boolean;
  /** Takes the call's result: the topics that the stream has, or that the server refused. */
  readonly subscribed: Set<string>;
  readonly refused: Set<string>;
}

/** Subscribes an open stream to a topic, or ends that. */
export async function call(call: SubscriptionCall): Promise<void> {
  const { topic, added, subscribed, refused, wanted } = call;
  if (added) return subscribe(call);
  // A listener that has come back meanwhile relies on the subscription.
  if (wanted().includes(topic)) return;
  subscribed.delete(topic);
  // Where that fails the next stream comes without it.
  if (!refused.delete(topic)) await post(call, 'unsubscribe', false);
}

/** Tries for as long as the stream lives and somebody listens. */
async function subscribe(call: SubscriptionCall): Promise<void> {
  const { settings, requests, topic, wanted, signal, subscribed, refused, onCovered, onStreamGone } = call;
  const begun = performance.now();
  let refusedToken = false;
  while (!signal.aborted && wanted().includes(topic)) {
    const response = await post(call, 'subscribe', refusedToken);
    if (signal.aborted) return;
    if (response?.ok) {
      const { watched } = (await response.json().catch(() => ({}))) as { watched?: boolean };
      if (signal.aborted) return;
      if (watched === false) settings().logger.debug(`SSE: no table is watched as ${topic}`);
      subscribed.add(topic);
      return onCovered(topic, signal);
    }
    if (response?.status === 404) return onStreamGone();
    if (response?.status === 400 || response?.status === 403) {
      subscribed.add(topic);
      refused.add(topic);
      return warn(call, response);
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
}

/** Warns of a refused topic: its listener is never called, and somebody has to see why. */
async function warn({ settings, topic }: SubscriptionCall, response: Response): Promise<void> {
  const body = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
  const text = `SSE: the server refuses the resource ${topic} (${response.status})`;
  settings().logger.warn(body.error?.message ? `${text}: ${body.error.message}` : text);
}

async function post(
  { settings, requests, clientId, topic, signal }: SubscriptionCall,
  action: 'subscribe' | 'unsubscribe',
  refusedToken: boolean,
): Promise<Response | undefined> {
  try {
    const authorized = await requests.authorize(refusedToken ? 'refused' : 'connect');
    if (!authorized) return undefined;
    authorized.headers.set('Content-Type', 'application/json');
    const body = JSON.stringify({ clientId, resource: topic });
    const url = endpoint(settings().url, action, {});
    const response = await requests.send(url, authorized, { method: 'POST', body, signal });
    if (response.status === 401) requests.refuse(authorized);
    return response;
  } catch (error) {
    if (!signal.aborted) settings().logger.debug(`SSE: ${action} failed`, error);
    return undefined;
  }
}
