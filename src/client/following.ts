import type { Change } from '../change.js';
import { type SSEService, sseService } from './sse-service.js';
import { Throttle } from './throttle.js';

/** Options of the hooks for frameworks. Undefined stands for the default. */
export interface FollowOptions {
  /** Default: the page's own `sseService`. */
  readonly service?: SSEService | undefined;
  /** Whether to skip changes that this page made itself. Default false. */
  readonly ignoreOwn?: boolean | undefined;
  /**
   * `onUpdate` is throttled: the first change at once, then at most one call in this time for each resource, in ms, with
   * the keys of up to 100 rows. Default 250; 0 calls it for each change.
   */
  readonly burstMs?: number | undefined;
  /**
   * The position of the component's data: the header `Change-Feed-Position` of the answer that it came from. The component
   * then receives the changes since, instead of a first `reason: 'resync'`.
   */
  readonly since?: string | null | undefined;
}

/** A resource's name, several, or undefined for none. */
export type ResourceNames = string | readonly string[] | null | undefined;

/**
 * The resources that one component follows. {@link Following.set} keeps the registration of a name that stays, so what its
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
   * Follows these names, and no others.
   * @param since replaces the option for names that are new.
   */
  set(names: ResourceNames, since: string | null | undefined = this.#options.since): void {
    const wanted = new Set([names ?? []].flat());
    // The new ones first: the stream is not left unused in between.
    for (const name of wanted) if (!this.#ends.has(name)) this.#ends.set(name, this.#follow(name, since));
    for (const [name, end] of this.#ends) {
      if (wanted.has(name)) continue;
      this.#ends.delete(name);
      end();
    }
  }

  /** Follows nothing any more, and calls nobody any more. */
  end(): void {
    this.set([]);
  }

  #follow(name: string, since: string | null | undefined): () => void {
    const { service = sseService, ignoreOwn = false, burstMs = 250 } = this.#options;
    const throttle = new Throttle(this.#onUpdate, burstMs);
    const listener = (change: Change) => {
      if (!ignoreOwn || !service.isOwn(change)) throttle.add(change);
    };
    const off = service.on(name, listener, { since });
    return () => {
      off();
      throttle.cancel();
    };
  }
}
