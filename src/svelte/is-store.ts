import type { Readable } from 'svelte/store';

/** Tells whether an option is a store, and not the value itself. */
export function isStore<Value>(option: Value | Readable<Value>): option is Readable<Value> {
  return typeof option === 'object' && option !== null && 'subscribe' in option;
}
