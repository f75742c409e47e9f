import { fetchJson } from '../api/rows.js';
import { ANMELDUNGEN } from './anmeldung.js';

/** How many registrations for an event were added or changed since a position of the feed. */
export async function countChanged(veranstaltungId: number, seit: string): Promise<number> {
  return (await fetchJson<{ count: number }>(`${ANMELDUNGEN}/geaendert`, { veranstaltungId, seit })).count;
}
