import type { LoggedChange } from '../change.js';
import type { Client } from './client.js';
import { tableUpdate } from './event-format.js';
import { mergeChanges } from './merge.js';
import { type RefetchSpread, readersOf, spreadOfScope } from './refetch-spread.js';
import type { ScopeDelivery } from './scope-index.js';
import { compareScopes } from './scope-parts.js';
import type { Broadcast } from './sent-changes.js';
import type { SubscriptionIndex } from './subscription-index.js';

/** One change, for the subscribers of a scope or else for those of the whole resource. */
interface Step {
  readonly change: LoggedChange;
  readonly delivery?: ScopeDelivery;
}

/**
 * Hands the changes of one read to the clients that receive them, each encoded once: those of whole resources in their order,
 * and then those of scopes, scope by scope.
 * @param counted counts these clients.
 * @returns the clients that took a change: they send it with their next flush.
 */
export function sendToSubscribers(
  changes: readonly LoggedChange[],
  subscriptions: SubscriptionIndex,
  refetchSpread: RefetchSpread,
  counted: Broadcast,
): ReadonlySet<Client> {
  const receivers = new Set<Client>();
  const deliveries = [...subscriptions.scopeDeliveries(changes)];
  const readers = readersOf(deliveries);
  for (const { change, delivery } of stepsOf(changes, deliveries)) {
    const { resource } = change;
    const ofScopes = readers.get(resource) ?? 0;
    if (delivery) {
      const event = tableUpdate(change, spreadOfScope(delivery, ofScopes));
      for (const subscription of delivery.subscriptions) {
        counted.addOfScope(resource, subscription.client);
        subscription.client.take(subscription, change, event);
        receivers.add(subscription.client);
      }
      continue;
    }
    const audience = subscriptions.audienceOf(resource);
    const spread = refetchSpread.begin(resource, audience + ofScopes);
    if (audience === 0) continue;
    const event = tableUpdate(change, spread);
    const tally = counted.tallyOf(resource);
    subscriptions.forEachTo(resource, (client, subscription) => {
      tally?.add(client);
      client.take(subscription, change, event);
      receivers.add(client);
    });
  }
  return receivers;
}

function stepsOf(changes: readonly LoggedChange[], deliveries: readonly ScopeDelivery[]): Step[] {
  const steps: Step[] = mergeChanges(changes).map((change) => ({ change }));
  for (const delivery of deliveries.toSorted((one, other) => compareScopes(one.topic, other.topic))) {
    for (const change of mergeChanges(delivery.changes)) steps.push({ change, delivery });
  }
  return steps;
}
