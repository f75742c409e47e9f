import type { LoggedChange } from '../change.js';
import { jsonObject } from '../json-text.js';
import { sumsUp } from './refetch.js';

/**
 * One event of a stream, encoded once for all clients. Every field is JSON or made by this program, so no text of a
 * user can end a line and forge a field (https://html.spec.whatwg.org/multipage/server-sent-events.html, 9.2.5).
 */
export interface EncodedEvent {
  readonly resource: string;
  /** It says that something changed, and stands for any number of changes. */
  readonly sumsUp: boolean;
  /** Without `id:`, ready to be joined; {@link withId} puts one before it. */
  readonly text: string;
}

/** `event: connected`, a stream's first. */
export function connectedEvent(clientId: string, resumed: boolean, heartbeatMs: number): string {
  return event('connected', { clientId, resumed, heartbeatMs });
}

/**
 * `event: health`: whether the server can read the log. An event, because a comment reaches no EventSource.
 * @param forMs for how long it has not been able to, in ms.
 */
export function healthEvent(readable: boolean, forMs = 0): string {
  return event('health', readable ? { readable } : { readable, forMs: Math.round(forMs) });
}

/** `event: expired`, a stream's last when its token ends. */
export function expiredEvent(): string {
  return event('expired', {});
}

/**
 * `event: table-update`.
 * @param spreadMs clients wait a random part of it before they refetch; absent or 0: they need not.
 */
export function tableUpdate(change: LoggedChange, spreadMs = 0): EncodedEvent {
  const { resource } = change;
  return { resource, sumsUp: sumsUp(change), text: `event: table-update\ndata: ${changeJson(change, spreadMs)}\n\n` };
}

/**
 * A change as JSON, the same in a stream and in a poll's answer: keys and data go out exactly as they were recorded.
 * @param spreadMs see {@link tableUpdate}.
 */
export function changeJson(change: LoggedChange, spreadMs = 0): string {
  const { resource, operation, keys, data, origin, reason, keysText, dataText } = change;
  const spread = spreadMs > 0 ? spreadMs : undefined;
  return jsonObject({ resource, operation, keys, data, origin, reason, spread }, { keys: keysText, data: dataText });
}

/** A comment that keeps proxies and clients from giving up, with an `id:` so that idle clients keep no old position. */
export function heartbeat(id: string): string {
  return `: heartbeat\nid: ${id}\n\n`;
}

/** How long a client waits before it comes back, jittered so that a crowd does not come back at once: 1 to 3 s. */
export function retryAdvice(): string {
  return `retry: ${1000 + Math.floor(Math.random() * 2000)}\n\n`;
}

/** The event with a position that counts once the event has arrived. */
export function withId(text: string, id: string): string {
  return `id: ${id}\n${text}`;
}

/** A position by itself: takes the client's position there without an event. */
export function bareId(id: string): string {
  return `id: ${id}\n\n`;
}

function event(name: string, body: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(body)}\n\n`;
}
