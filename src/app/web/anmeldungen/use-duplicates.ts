import { shallowRef, watch } from 'vue';
import { fetchJson } from '../api/rows.js';
import { ANMELDUNGEN, type Anmeldung } from './anmeldung.js';

/** The longest time between two keys of a word, in ms. */
const TYPING_MS = 300;

type Double = Pick<Anmeldung, 'id' | 'vorname' | 'nachname' | 'email' | 'status'>;

/** Finds registrations for the event with the name or the address that is being typed. */
export function useDuplicates(
  veranstaltungId: number,
  ohne: number | undefined,
  typed: () => Pick<Anmeldung, 'vorname' | 'nachname' | 'email'>,
) {
  const found = shallowRef<readonly Double[]>([]);
  const asked = () => {
    const { vorname, nachname, email } = typed();
    return { vorname: vorname.trim(), nachname: nachname.trim(), email: email.trim() };
  };
  watch(
    () => JSON.stringify(asked()),
    (_now, _before, onCleanup) => {
      let current = true;
      const timer = setTimeout(async () => {
        const { vorname, nachname, email } = asked();
        const enough = email !== '' || (vorname !== '' && nachname !== '');
        // A warning that can't be had is none: the list marks duplicates, too.
        const answer = enough
          ? await fetchJson<{ items: Double[] }>(`${ANMELDUNGEN}/doppelte`, {
              veranstaltungId,
              ...asked(),
              ohne,
            }).catch(() => undefined)
          : undefined;
        if (current) found.value = answer?.items ?? [];
      }, TYPING_MS);
      onCleanup(() => {
        current = false;
        clearTimeout(timer);
      });
    },
  );
  return found;
}
