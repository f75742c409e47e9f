import { computed, shallowRef } from 'vue';

// Two pages, so no router: `#/` is the list, `#/veranstaltungen/7` one event.

const hash = shallowRef(location.hash);
window.addEventListener('hashchange', () => {
  hash.value = location.hash;
});

/** The event whose page is shown; undefined on the list. */
export const veranstaltungId = computed(() => {
  const id = /^#\/veranstaltungen\/(\d+)$/.exec(hash.value)?.[1];
  return id === undefined ? undefined : Number(id);
});
