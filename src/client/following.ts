import type { Change } from '../change.js';
import { formatTopic, type ScopeValue } from '../scope.js';
import { type Resource, topicFrom } from './resource.js';
import { type SSEService, sseService } from './sse-service.js';
import { Throttle } from './throttle.js';

/** Options of the hooks for frameworks. Undefined means the default. */
export interface FollowOptions {
  /** Default: the page's own `sseService`. */
  readonly service?: SSEService | undefined;
  /** True skips changes that this page made itself. Default false. */
  readonly ignoreOwn?: boolean | undefined;
  /**
   * `onUpdate` is throttled: the first change at once, then at most one call in this time for each resource or scope, in ms,
   * with the keys of up to 100 rows. Default 250; 0 calls it for each change.
   */
  readonly burstMs?: number | undefined;
  /**
   * The position of the component's data: the header `Change-Feed-Position` of the answer that it came from. The component
   * then receives the changes since, instead of a first `reason: 'resync'`.
   */
  readonly since?: string | null | undefined;
}

/** A scope whose values may not be known yet: while one is null or undefined, nothing is followed. */
export interface PendingScope {
  readonly resource: string;
  readonly scope: Readonly<Record<string, ScopeValue | null | undefined>>;
}

/** One resource or scope. */
export type FollowedResource = Resource | PendingScope;

/** A resource or a scope of one, several, or undefined for none. */
export type FollowedResources = FollowedResource | readonly FollowedResource[] | null | undefined;

/** Lists resources and scopes as text, each once. @throws {TypeError} for what is no scope. */
export function topicsOf(resources: FollowedResources): string[] {
  const known = [resources ?? []].flat().filter(isKnown);
  return [...new Set(known.map((resource) => formatTopic(topicFrom(resource))))];
}

function isKnown(resource: FollowedResource): resource is Resource {
  return typeof resource === 'string' || !Object.values(resource.scope).some((value) => value == null);
}

/**
 * The resources that one component follows. {@link Following.set} keeps the registration of one that stays, so what its
 * throttle still holds is not lost.
 */
export class Following {
  readonly #onUpdate: (change: Change) => void;
  readonly #options: FollowOptions;
  readonly #ends = new Map<string, () => void>();

  constructor(onUpdate: (change: Change) => void, options: FollowOptions = {}) {
    this.#onUpdate = onUpdate;
    this.#options = options;
  }

  /**
   * Follows these, and no others.
   * @param since replaces the option for those that are new.
   * @throws {TypeError} for what is no scope.
   */
  set(resources: FollowedResources, since: string | null | undefined = this.#options.since): void {
    const wanted = new Set(topicsOf(resources));
    // The new ones first: the stream is not left unused in between.
    for (const topic of wanted) if (!this.#ends.has(topic)) this.#ends.set(topic, this.#follow(topic, since));
    for (const [topic, end] of this.#ends) {
      if (wanted.has(topic)) continue;
      this.#ends.delete(topic);
      end();
    }
  }

  /** Stops following: nobody is called any more. */
  end(): void {
    this.set([]);
  }

  #follow(topic: string, since: string | null | undefined): () => void {
    const { service = sseService, ignoreOwn = false, burstMs = 250 } = this.#options;
    const throttle = new Throttle(this.#onUpdate, burstMs);
    const listener = (change: Change) => {
      if (!ignoreOwn || !service.isOwn(change)) throttle.add(change);
    };
    const off = service.on(topic, listener, { since });
    return () => {
      off();
      throttle.cancel();
    };
  }
}
