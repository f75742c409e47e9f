import type { LoggedChange } from '../change.js';
import type { ChangeFeed } from '../feed/change-feed.js';
import { FailureLog } from '../feed/failure-log.js';
import type { Logger } from '../logger.js';
import type { SubscriptionIndex } from './subscription-index.js';

/**
 * Ends subscriptions to scopes that a table has no more. A change shows that it may be so: the log does not know what it
 * changed of a scope that somebody is subscribed to. The list of scopes says whether it is so.
 */
export class EndedScopes {
  readonly #feed: Pick<ChangeFeed, 'scopes'>;
  readonly #subscriptions: SubscriptionIndex;
  readonly #failures: FailureLog;
  /** The resources that are looked up. */
  readonly #checking = new Set<string>();

  constructor(feed: Pick<ChangeFeed, 'scopes'>, subscriptions: SubscriptionIndex, logger: Logger) {
    this.#feed = feed;
    this.#subscriptions = subscriptions;
    this.#failures = new FailureLog(logger);
  }

  /** Looks up the scopes of the resources for which these changes raise the question. */
  check(changes: readonly LoggedChange[]): void {
    const { scopes } = this.#subscriptions;
    if (scopes.isEmpty) return;
    for (const { resource, statements } of changes) {
      if (this.#checking.has(resource)) continue;
      const unknown = scopes
        .columnsOf(resource)
        .some((columns) => !statements || statements.some(({ valuesOf }) => !valuesOf(columns)));
      if (unknown) void this.#look(resource);
    }
  }

  async #look(resource: string): Promise<void> {
    this.#checking.add(resource);
    try {
      const declared = await this.#feed.scopes.now(resource);
      // A resource that no table is watched as has the scopes that the application emits.
      if (declared) this.#endAllBut(declared, resource);
    } catch (error) {
      // The next change raises the question again.
      this.#failures.happened('the scopes of a table could not be read', error, { resource });
    } finally {
      this.#checking.delete(resource);
    }
  }

  #endAllBut(declared: readonly string[], resource: string): void {
    const { scopes } = this.#subscriptions;
    for (const columns of scopes.columnsOf(resource)) {
      if (declared.includes(columns)) continue;
      for (const [scope, subscriptions] of [...scopes.scopesOver(resource, columns)]) {
        for (const subscription of subscriptions) {
          this.#subscriptions.deleteScope(scope, subscription);
          subscription.client.endScope(scope);
        }
      }
    }
  }
}
