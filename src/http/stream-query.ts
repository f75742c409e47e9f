import { readPosition } from '../feed/log/epochs.js';
import { formatTopic, parseTopic, type Topic } from '../scope.js';
import type { Start } from '../streams/replay.js';
import { EVERY_RESOURCE } from '../streams/subscription.js';
import type { Exchange } from './exchange.js';
import { HttpError } from './http-error.js';

/**
 * Reads the topics of a URL: `?resources=a,b`, or repeated, each in its canonical text.
 * @throws {HttpError} bad_request for a malformed topic, and for more than `max`.
 */
export function requestedTopics(query: string | string[] | undefined, max: number): string[] {
  const texts = [query ?? []].flat().flatMap((list) => list.split(','));
  const topics = new Set(texts.filter((text) => text !== ''));
  if (topics.size > max) {
    throw new HttpError('bad_request', `resources: at most ${max}, got ${topics.size}`);
  }
  return [...new Set(Array.from(topics, requireTopic))];
}

/**
 * Reads a topic, and checks its resource by the rule of `change_feed.check_resource()` in the database; `*` passes.
 * @returns its canonical text.
 * @throws {HttpError} bad_request.
 */
export function requireTopic(text: string): string {
  const topic = parsedTopic(text);
  const { resource } = topic;
  if (resource === EVERY_RESOURCE) return resource;
  const bytes = Buffer.byteLength(resource);
  if (bytes < 1 || bytes > 200 || /[,?*\p{Cc}]/u.test(resource)) {
    throw new HttpError(
      'bad_request',
      'resource: expected * or a name of 1 to 200 bytes with none of , ? * or control characters',
    );
  }
  return formatTopic(topic);
}

function parsedTopic(text: string): Topic {
  try {
    return parseTopic(text);
  } catch (error) {
    throw new HttpError('bad_request', (error as TypeError).message);
  }
}

/**
 * Reads the position that the client sent. `Last-Event-ID` goes before `?lastEventId=`, because a URL that the browser
 * repeats has an old one. A malformed position counts as a lost one: a 400 would end an EventSource for good.
 */
export function resumePosition(exchange: Exchange): Start | undefined {
  const query = [exchange.parameters.lastEventId ?? []].flat().at(-1);
  const text = exchange.header('Last-Event-ID') || query;
  return text ? (readPosition(text) ?? 'lost') : undefined;
}
