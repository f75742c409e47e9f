import { type MaybeRefOrGetter, toValue } from 'vue';
import type { FollowedResource, FollowedResources } from '../client/following.js';
import type { ScopeValue } from '../scope.js';

/** A resource or scope. Each value may be a ref or a getter; while one is null or undefined, nothing is followed. */
export type LiveResource =
  | string
  | {
      readonly resource: string;
      readonly scope: Readonly<Record<string, MaybeRefOrGetter<ScopeValue | null | undefined>>>;
    };

/** One resource or scope, or several; a ref or getter may change them. Undefined means none. */
export type LiveResources = MaybeRefOrGetter<LiveResource | readonly LiveResource[] | null | undefined>;

/** Reads the refs and getters. */
export function resourcesOf(resources: LiveResources): FollowedResources {
  return [toValue(resources) ?? []].flat().map(resourceOf);
}

function resourceOf(resource: LiveResource): FollowedResource {
  if (typeof resource === 'string') return resource;
  const values = Object.entries(resource.scope).map(([column, value]) => [column, toValue(value)] as const);
  return { resource: resource.resource, scope: Object.fromEntries(values) };
}
