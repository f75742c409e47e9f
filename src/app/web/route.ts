import { computed, nextTick, shallowRef, type WatchSource, watch } from 'vue';
import { hasUnsaved } from './form/unsaved.js';
import { takeTokensFromAddress } from './session/token-in-address.js';

// Two pages and a print view, so no router: `#/`, `#/veranstaltungen/7` and `#/veranstaltungen/7/druck`. What a list shows
// is in the query behind it, `#/?seite=2&sort=-name`, and how far it is scrolled in the history's entry.

/** The time from a movement until it is kept, in ms: browsers limit how often a page may write its history. */
const KEEP_SCROLL_MS = 150;

takeTokensFromAddress();
const hash = shallowRef(location.hash);
/** The list as it was last shown: the way back to it. */
export const listHref = shallowRef('#/');
/** The place at which a page begins that was not shown before. */
const TOP = Number.NEGATIVE_INFINITY;
/** The distance to scroll once the page's rows are there; undefined when that is done. */
let scrollTo: number | undefined = scrollOf(history.state);
let keeping: ReturnType<typeof setTimeout> | undefined;

history.scrollRestoration = 'manual';
window.addEventListener('popstate', ({ state }) => {
  if (location.hash === hash.value) return;
  // A form is open: back where it is, as if the browser's button had not been there.
  if (hasUnsaved()) {
    history.pushState({ scroll: scrolled() }, '', hash.value || '#/');
    return;
  }
  clearTimeout(keeping);
  scrollTo = scrollOf(state) ?? TOP;
  hash.value = location.hash;
});
window.addEventListener('scroll', () => {
  clearTimeout(keeping);
  keeping = setTimeout(keepScroll, KEEP_SCROLL_MS);
});
// Not with `pagehide`: what a page that is being reloaded writes there is lost.
window.addEventListener('beforeunload', keepScroll);
// Before a link is followed
document.addEventListener('click', keepScroll, { capture: true });

const path = computed(() => hash.value.replace(/^#/, '').split('?')[0] ?? '');
const parameters = computed(() => new URLSearchParams(hash.value.split('?')[1] ?? ''));

watch(
  hash,
  () => {
    if (veranstaltungId.value === undefined) listHref.value = hash.value || '#/';
  },
  { flush: 'sync' },
);

/** The event whose page is shown; undefined on the list. */
export const veranstaltungId = computed(() => {
  const id = /^\/veranstaltungen\/(\d+)(\/druck)?$/.exec(path.value)?.[1];
  return id === undefined ? undefined : Number(id);
});
if (veranstaltungId.value === undefined) listHref.value = hash.value || '#/';

/** Tells whether the print view of the event is shown. */
export const printing = computed(() => path.value.endsWith('/druck'));

/** The parameters of the list in the address; '' where it says nothing. */
export function parameter(name: string): string {
  return parameters.value.get(name) ?? '';
}

/** The address of this page, or of another, with these parameters; those without a value are left out. */
export function hrefOf(changes: Readonly<Record<string, string | number>>, to = path.value || '/'): string {
  const query = new URLSearchParams(parameters.value);
  for (const [name, value] of Object.entries(changes)) {
    if (value === '') query.delete(name);
    else query.set(name, String(value));
  }
  return `#${to}${query.size > 0 ? `?${query}` : ''}`;
}

/**
 * Changes what the address says of the list.
 * @param how `push`: the browser's back leads to what was before; `replace`: it does not, for single letters of a word.
 */
export function setParameters(
  changes: Readonly<Record<string, string | number>>,
  how: 'push' | 'replace' = 'push',
): void {
  const next = hrefOf(changes);
  if (next === hash.value) return;
  if (how === 'push') {
    keepScroll();
    history.pushState({ scroll: scrolled() }, '', next);
  } else {
    history.replaceState(history.state, '', next);
  }
  hash.value = next;
}

/** Scrolls to where the page was left, once `shown` holds: before its rows are there it is too short. For setup(). */
export function useScroll(shown: WatchSource<boolean>): void {
  watch(
    [shown, hash],
    async ([ready]) => {
      if (!ready || scrollTo === undefined) return;
      await nextTick();
      window.scrollTo(0, Math.max((scrollTo ?? TOP) + topOfMain(), 0));
      scrollTo = undefined;
    },
    { immediate: true, flush: 'post' },
  );
}

function keepScroll(): void {
  clearTimeout(keeping);
  if (scrollTo === undefined) history.replaceState({ scroll: scrolled() }, '');
}

/** The distance that the list is scrolled, in px from the top of `main`: a banner above it may come and go meanwhile. */
function scrolled(): number {
  return window.scrollY - topOfMain();
}

function topOfMain(): number {
  return document.querySelector('main')?.offsetTop ?? 0;
}

function scrollOf(state: unknown): number | undefined {
  const scroll = (state as { scroll?: unknown } | null)?.scroll;
  return typeof scroll === 'number' ? scroll : undefined;
}
