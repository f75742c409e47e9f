import { onScopeDispose, readonly, shallowRef } from 'vue';

/** Tells whether the rows of a table are shown as cards: the page is narrower than its columns need. For setup(). */
export function useCards(neededWidth: string) {
  const media = window.matchMedia(`(width < ${neededWidth})`);
  const cards = shallowRef(media.matches);
  const look = () => {
    cards.value = media.matches;
  };
  media.addEventListener('change', look);
  onScopeDispose(() => media.removeEventListener('change', look));
  return readonly(cards);
}
