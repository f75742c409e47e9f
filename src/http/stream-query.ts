import { readPosition } from '../feed/log/epochs.js';
import type { Start } from '../streams/replay.js';
import { EVERY_RESOURCE } from '../streams/subscription.js';
import type { Exchange } from './exchange.js';
import { HttpError } from './http-error.js';

/**
 * Reads the resources of a URL: `?resources=a,b`, or repeated.
 * @throws {HttpError} bad_request for a malformed name, and for more than `max` names.
 */
export function requestedResources(query: string | string[] | undefined, max: number): string[] {
  const names = [query ?? []].flat().flatMap((list) => list.split(','));
  const resources = [...new Set(names.filter((name) => name !== ''))];
  if (resources.length > max) {
    throw new HttpError('bad_request', `resources: at most ${max}, got ${resources.length}`);
  }
  for (const resource of resources) requireResource(resource);
  return resources;
}

/** Checks a name by the rule of `change_feed.check_resource()` in the database; `*` passes. @throws {HttpError} bad_request. */
export function requireResource(resource: string): void {
  if (resource === EVERY_RESOURCE) return;
  const bytes = Buffer.byteLength(resource);
  if (bytes < 1 || bytes > 200 || /[,?*\p{Cc}]/u.test(resource)) {
    throw new HttpError(
      'bad_request',
      'resource: expected * or a name of 1 to 200 bytes with none of , ? * or control characters',
    );
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
