import type { LoggedChange } from '../change.js';
import { jsonObject } from '../json-text.js';
import type { Topic } from '../scope.js';
import { formatTopic } from '../scope.js';
import { sumsUp } from './refetch.js';

/**
 * One event of a stream, encoded once for all clients. Every field is JSON or made by this program, so no text of a
 * user can end a line and forge a field (https://html.spec.whatwg.org/multipage/server-sent-events.html, 9.2.5).
 */
export interface EncodedEvent {
  /** The resource or the scope that it is about, as text. */
  readonly topic: string;
  /** True where it says that something changed, in the place of any number of changes. */
  readonly sumsUp: boolean;
  /** The event without `id:`, ready to be joined; {@link withId} puts one before it. */
  readonly text: string;
}

/** Encodes `event: connected`, a stream's first event. */
export function connectedEvent(clientId: string, resumed: boolean, heartbeatMs: number): string {
  return event('connected', { clientId, resumed, heartbeatMs });
}

/**
 * Encodes `event: health`: the server can read the log, or cannot. It is an event because an EventSource drops comments.
 * @param forMs the time since the log could be read last, in ms.
 */
export function healthEvent(readable: boolean, forMs = 0): string {
  return event('health', readable ? { readable } : { readable, forMs: Math.round(forMs) });
}

/** Encodes `event: expired`, a stream's last event when its token ends. */
export function expiredEvent(): string {
  return event('expired', {});
}

/** Encodes `event: revoked`, a stream's last event when the rights of its subject are withdrawn. */
export function revokedEvent(): string {
  return event('revoked', {});
}

/**
 * Encodes `event: ended`: a subscription has ended, and the stream stays.
 * @param reason `forbidden`: the right to it was withdrawn. `no_scope`: its columns are no scope of the table any more.
 */
export function endedEvent({ resource, scope }: Topic, reason: 'forbidden' | 'no_scope'): string {
  return event('ended', { resource, scope, reason });
}

/**
 * Encodes `event: table-update`.
 * @param spreadMs clients wait a random part of it before they refetch; 0: they do not wait. Default 0.
 */
export function tableUpdate(change: LoggedChange, spreadMs = 0): EncodedEvent {
  const topic = formatTopic(change);
  return { topic, sumsUp: sumsUp(change), text: `event: table-update\ndata: ${changeJson(change, spreadMs)}\n\n` };
}

/**
 * Encodes a change as JSON, the same in a stream and in a poll's answer, with keys and data exactly as recorded.
 * @param spreadMs see {@link tableUpdate}.
 */
export function changeJson(change: LoggedChange, spreadMs = 0): string {
  const { resource, scope, operation, keys, data, origin, reason, keysText, dataText } = change;
  const spread = spreadMs > 0 ? spreadMs : undefined;
  return jsonObject(
    { resource, scope, operation, keys, data, origin, reason, spread },
    { keys: keysText, data: dataText },
  );
}

/** Encodes a comment that keeps the connection open, with an `id:` so that idle clients keep no old position. */
export function heartbeat(id: string): string {
  return `: heartbeat\nid: ${id}\n\n`;
}

/** Encodes the time that a client waits before it reconnects: 1 to 3 s, random, so that many do not come at once. */
export function retryAdvice(): string {
  return `retry: ${1000 + Math.floor(Math.random() * 2000)}\n\n`;
}

/** Adds to an event the position that counts once the event has arrived. */
export function withId(text: string, id: string): string {
  return `id: ${id}\n${text}`;
}

/** Encodes a position alone: the client's position moves there without an event. */
export function bareId(id: string): string {
  return `id: ${id}\n\n`;
}

function event(name: string, body: unknown): string {
  return `event: ${name}\ndata: ${JSON.stringify(body)}\n\n`;
}
