import type { LoggedChange } from '../change.js';
import type { StreamRights } from './rights.js';
import { partsFor, partsOfScopes } from './scope-parts.js';
import { resourcesOf, type ScopedTopic, scopedTopic } from './scoped-topic.js';
import { EVERY_RESOURCE } from './subscription.js';

/** The topics that one reader of the feed follows without a stream, and the changes of them. */
export class FollowedTopics {
  /** Those of resources that it does not follow as a whole. */
  readonly #scopes: readonly ScopedTopic[];

  /** @param topics resources, scopes, and `*`, all of them allowed. */
  constructor(
    readonly topics: readonly string[],
    readonly rights: Pick<StreamRights, 'authorize' | 'grantedScopes'>,
  ) {
    const granted = topics.includes(EVERY_RESOURCE) ? rights.grantedScopes : [];
    const scopes = [...topics.flatMap((topic) => scopedTopic(topic) ?? []), ...granted];
    const each = new Map(scopes.map((scope) => [scope.text, scope]));
    this.#scopes = [...each.values()].filter(({ resource }) => !this.#followsWhole(resource));
  }

  /** The resources to read; undefined: all. */
  get resources(): readonly string[] | undefined {
    return this.topics.includes(EVERY_RESOURCE) ? undefined : resourcesOf(this.topics);
  }

  /** True where it follows a scope. */
  get hasScopes(): boolean {
    return this.#scopes.length > 0;
  }

  /** Lists what it receives of these changes: of whole resources in their order, and then scope by scope. */
  changesOf(changes: readonly LoggedChange[]): readonly LoggedChange[] {
    const whole = changes.filter(({ resource }) => this.#followsWhole(resource));
    if (this.#scopes.length === 0) return whole;
    return [...whole, ...partsOfScopes(this.#scopes, (scope) => partsFor(scope, changes))];
  }

  #followsWhole(resource: string): boolean {
    return this.topics.includes(resource) || (this.topics.includes(EVERY_RESOURCE) && this.rights.authorize(resource));
  }
}
