import type { Change } from '../change.js';

/** Every resource that the caller may read. */
const EVERY_RESOURCE = '*';

/** Hears of a resource's changes. */
export type ChangeListener = (change: Change) => void;

/** Who listens to what, and hands each change to them. */
export class Listeners {
  readonly #byResource = new Map<string, Set<ChangeListener>>();
  /** Changes that wait their random part of `spread`, summed up for each resource. */
  readonly #spread = new Map<string, { change: Change; readonly timer: ReturnType<typeof setTimeout> }>();

  /** All resources that somebody listens to. */
  get resources(): string[] {
    return [...this.#byResource.keys()];
  }

  /** @returns whether it is the resource's first. */
  add(resource: string, listener: ChangeListener): boolean {
    const listeners = this.#byResource.get(resource);
    listeners?.add(listener);
    if (!listeners) this.#byResource.set(resource, new Set([listener]));
    return !listeners;
  }

  /** @returns whether it was the resource's last. */
  remove(resource: string, listener: ChangeListener): boolean {
    const listeners = this.#byResource.get(resource);
    if (!listeners?.delete(listener) || listeners.size > 0) return false;
    return this.#byResource.delete(resource);
  }

  /**
   * Hands a change to its listeners, and to those of `*`.
   * @param spreadMs they hear of it after a random part of this, in ms, and of all that follows meanwhile in one go.
   */
  tell(change: Change, spreadMs = 0): void {
    const { resource } = change;
    const waiting = this.#spread.get(resource);
    if (waiting) {
      waiting.change = { resource };
    } else if (spreadMs > 0) {
      const timer = setTimeout(() => {
        const spread = this.#spread.get(resource);
        this.#spread.delete(resource);
        if (spread) this.#call(spread.change);
      }, Math.random() * spreadMs);
      this.#spread.set(resource, { change, timer });
    } else {
      this.#call(change);
    }
  }

  /** Tells a resource's own listeners that they may have missed changes. */
  tellMissed(resource: string): void {
    this.#callThoseOf(resource, { resource, reason: 'resync' });
  }

  #call(change: Change): void {
    this.#callThoseOf(change.resource, change);
    this.#callThoseOf(EVERY_RESOURCE, change);
  }

  #callThoseOf(resource: string, change: Change): void {
    for (const listener of [...(this.#byResource.get(resource) ?? [])]) {
      try {
        listener(change);
      } catch (error) {
        // The others still have to hear of it.
        console.error(error);
      }
    }
  }
}
