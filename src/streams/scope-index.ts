import type { LoggedChange } from '../change.js';
import type { Client } from './client.js';
import { partsOf } from './scope-parts.js';
import { type ChangesOverColumns, ScopedChanges } from './scoped-changes.js';
import { type ScopedTopic, scopedTopicOf } from './scoped-topic.js';
import type { Subscription } from './subscription.js';

/** The subscriptions to one value: a set only where there are several, because most of ten thousand have one. */
type Subscribers = Subscription | Set<Subscription>;

/** The changes that the subscribers of one scope receive of one read. */
export interface ScopeDelivery {
  readonly topic: ScopedTopic;
  readonly changes: readonly LoggedChange[];
  readonly subscriptions: readonly Subscription[];
  /** True where subscribers of every scope over these columns receive that something changed. */
  readonly everyone: boolean;
}

/** Finds the subscriptions to the scopes of a change by its values, so that a change costs its own scope's readers alone. */
export class ScopeIndex {
  /** The subscribers by resource, columns, and value. */
  readonly #resources = new Map<string, Map<string, Map<string, Subscribers>>>();
  readonly #onFollowed: (followed: boolean) => void;

  /** @param onFollowed called with true when somebody follows a scope, and with false when nobody does any more. */
  constructor(onFollowed: (followed: boolean) => void = () => {}) {
    this.#onFollowed = onFollowed;
  }

  /** True where nobody is subscribed to a scope. */
  get isEmpty(): boolean {
    return this.#resources.size === 0;
  }

  /** Adds a subscription to a scope. */
  add({ resource, columns, value }: ScopedTopic, subscription: Subscription): void {
    if (this.isEmpty) this.#onFollowed(true);
    const ofResource = entryOf(this.#resources, resource, () => new Map<string, Map<string, Subscribers>>());
    const ofColumns = entryOf(ofResource, columns, () => new Map<string, Subscribers>());
    const known = ofColumns.get(value);
    if (!known) ofColumns.set(value, subscription);
    else if (known instanceof Set) known.add(subscription);
    else if (known !== subscription) ofColumns.set(value, new Set([known, subscription]));
  }

  /** Removes a subscription from a scope. */
  delete({ resource, columns, value }: ScopedTopic, subscription: Subscription): void {
    const ofResource = this.#resources.get(resource);
    const ofColumns = ofResource?.get(columns);
    const known = ofColumns?.get(value);
    if (known instanceof Set) {
      known.delete(subscription);
      if (known.size > 0) return;
    } else if (known !== subscription) return;
    ofColumns?.delete(value);
    if (ofColumns?.size === 0) ofResource?.delete(columns);
    if (ofResource?.size !== 0) return;
    this.#resources.delete(resource);
    if (this.isEmpty) this.#onFollowed(false);
  }

  /** Lists the columns over which somebody is subscribed to scopes of a resource. */
  columnsOf(resource: string): string[] {
    return [...(this.#resources.get(resource)?.keys() ?? [])];
  }

  /** Lists the scopes over these columns of a resource that have subscribers, with them. */
  *scopesOver(resource: string, columns: string): Iterable<[ScopedTopic, Subscription[]]> {
    for (const [value, subscribers] of this.#resources.get(resource)?.get(columns) ?? []) {
      yield [scopedTopicOf(resource, columns, value), [...each(subscribers)]];
    }
  }

  /** The number of streams that are subscribed to scopes of each resource, where there are any. */
  *counts(): Iterable<readonly [resource: string, streams: number]> {
    for (const [resource, ofResource] of this.#resources) {
      const clients = new Set<Client>();
      for (const values of ofResource.values())
        for (const subscribers of values.values()) for (const { client } of each(subscribers)) clients.add(client);
      yield [resource, clients.size];
    }
  }

  /** Lists what the subscribers of scopes receive of the changes of one read. */
  *deliveriesOf(changes: readonly LoggedChange[]): Iterable<ScopeDelivery> {
    const index = ScopedChanges.of(changes);
    for (const [resource, ofResource] of this.#resources) {
      for (const [columns, values] of ofResource) {
        yield* deliveriesOver({ resource, columns }, values, index.over(resource, columns));
      }
    }
  }
}

function* deliveriesOver(
  { resource, columns }: Pick<ScopedTopic, 'resource' | 'columns'>,
  values: ReadonlyMap<string, Subscribers>,
  { statements, unknown }: ChangesOverColumns,
): Iterable<ScopeDelivery> {
  const everyone = unknown.length > 0;
  for (const value of everyone ? values.keys() : statements.keys()) {
    const subscribers = values.get(value);
    if (!subscribers) continue;
    const topic = scopedTopicOf(resource, columns, value);
    const changes = partsOf(topic, statements.get(value) ?? [], unknown);
    yield { topic, changes, subscriptions: [...each(subscribers)], everyone };
  }
}

function each(subscribers: Subscribers): Iterable<Subscription> {
  return subscribers instanceof Set ? subscribers : [subscribers];
}

/** Returns the entry of a key, made where there is none. */
function entryOf<Entry>(entries: Map<string, Entry>, key: string, make: () => Entry): Entry {
  let known = entries.get(key);
  if (known === undefined) {
    known = make();
    entries.set(key, known);
  }
  return known;
}
