import type { ChangeFeed } from '../feed/change-feed.js';
import { parseTopic } from '../scope.js';
import { type Rights, scopesIn } from '../streams/rights.js';
import { EVERY_RESOURCE } from '../streams/subscription.js';
import { HttpError } from './http-error.js';

/**
 * Checks that tables have the scopes of these topics, and that values have the one text by which the feed compares them. Call
 * it after the topics have been authorized: the message tells of the table.
 * @param rights of the caller: `*` receives the scopes that they name.
 * @throws {HttpError} bad_request for a column that is no scope, and for another text of a value. unavailable where the list
 * of scopes cannot be read.
 */
export async function requireScopes(
  feed: Pick<ChangeFeed, 'scopes'>,
  topics: readonly string[],
  rights: Rights,
): Promise<void> {
  const scoped = topics.flatMap((text) => {
    if (text === EVERY_RESOURCE) return scopesIn(rights);
    const { resource, scope } = parseTopic(text);
    return scope ? [{ resource, scope }] : [];
  });
  for (const { resource, scope } of scoped) {
    const fault = feed.scopes.fault(resource, scope);
    const message = typeof fault === 'object' ? await fault : fault;
    if (message !== undefined) throw new HttpError('bad_request', message);
  }
}
