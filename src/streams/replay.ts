import type { LoggedChange } from '../change.js';
import { earliest, hasSeen, type Position } from '../feed/log/position.js';
import { formatTopic } from '../scope.js';
import type { Client } from './client.js';
import { type ScopedTopic, scopedTopic } from './scoped-topic.js';
import { EVERY_RESOURCE, type Subscription } from './subscription.js';

/** The position from which a stream continues; `lost` where what follows it cannot be replayed any more. */
export type Start = Position | 'lost';

/** One read of the changes that a client missed: its subscriptions, and the start of each. */
export class Replay {
  readonly #starts = new Map<Subscription, Start>();

  /** Adds subscriptions, or moves the start of those that are there back. */
  add(start: Start, subscriptions: readonly Subscription[]): void {
    for (const subscription of subscriptions) {
      this.#starts.set(subscription, earlier(this.#starts.get(subscription) ?? start, start));
    }
  }

  /** Its subscriptions. */
  subscriptions(): Iterable<Subscription> {
    return this.#starts.keys();
  }

  /** True where one of its subscriptions is to a whole resource, or to `*`. */
  get hasWhole(): boolean {
    return Array.from(this.#starts.keys()).some(({ topic }) => !topic.includes('?'));
  }

  /**
   * Returns whether it missed all that was read since {@link Replay.start} of the resources of its subscriptions: they are to
   * whole resources, begin at one position, and none has been ended.
   * @param current the client's subscriptions.
   */
  missedAll(current: ReadonlyMap<string, Subscription>): boolean {
    const [first] = this.#starts.values();
    return Array.from(this.#starts).every(
      ([subscription, start]) =>
        start === first &&
        subscription.topic !== EVERY_RESOURCE &&
        !subscription.topic.includes('?') &&
        current.get(subscription.topic) === subscription,
    );
  }

  /** The scopes of a client that it covers, each once. */
  scopes(client: Pick<Client, 'grantedScopes'>): readonly ScopedTopic[] {
    const all = Array.from(this.#starts.keys(), ({ topic }) =>
      topic === EVERY_RESOURCE ? client.grantedScopes : (scopedTopic(topic) ?? []),
    ).flat();
    return [...new Map(all.map((scope) => [scope.text, scope])).values()];
  }

  /** The start of the read: no subscription missed anything before it. Undefined without subscriptions. */
  get start(): Start | undefined {
    let all: Start | undefined;
    for (const start of this.#starts.values()) all = all === undefined ? start : earlier(all, start);
    return all;
  }

  /** Returns whether it may send changes of a resource, or of a scope of it: live changes of it have to wait. */
  covers(resource: string): boolean {
    for (const { topic } of this.#starts.keys()) {
      if (topic === resource || topic === EVERY_RESOURCE || topic.startsWith(`${resource}?`)) return true;
    }
    return false;
  }

  /**
   * Returns whether one of its subscriptions has missed a change.
   * @param current the client's subscriptions: one that was ended meanwhile receives nothing.
   */
  missed(change: LoggedChange, current: ReadonlyMap<string, Subscription>): boolean {
    return this.missedOf(formatTopic(change), change.xid, current);
  }

  /** The same for a topic, and what a transaction changed of it. @param xid undefined: of one that is not known. */
  missedOf(topic: string, xid: bigint | undefined, current: ReadonlyMap<string, Subscription>): boolean {
    return [topic, EVERY_RESOURCE].some((name) => {
      const subscription = current.get(name);
      const start = subscription && this.#starts.get(subscription);
      return start !== undefined && (start === 'lost' || xid === undefined || !hasSeen(start, xid));
    });
  }
}

/** Returns a start that lies before both. Positions of two epochs can't be compared, so one of them is lost. */
export function earlier(one: Start, other: Start): Start {
  if (one === 'lost' || other === 'lost' || one.epoch !== other.epoch) return 'lost';
  return one === other ? one : earliest([one, other]);
}
