import { onScopeDispose, shallowReactive, watch } from 'vue';

/** Forms with something typed in them that is not saved. */
const forms = shallowReactive(new Set<symbol>());

/** Tells whether anything would be lost if the page went now. */
export function hasUnsaved(): boolean {
  return forms.size > 0;
}

/** Keeps the page from being left while `dirty` holds. For a component's setup(). */
export function useUnsaved(dirty: () => boolean): void {
  const form = Symbol('form');
  watch(dirty, (now) => (now ? forms.add(form) : forms.delete(form)), { immediate: true, flush: 'sync' });
  onScopeDispose(() => forms.delete(form));
}

// The browser asks in its own words.
window.addEventListener('beforeunload', (event) => {
  if (hasUnsaved()) event.preventDefault();
});
