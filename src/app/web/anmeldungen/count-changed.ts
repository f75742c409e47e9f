import { fetchJson } from '../api/rows.js';
import { ANMELDUNGEN } from './anmeldung.js';

/** Counts the registrations for an event that were added or changed since a position of the feed. */
export async function countChanged(veranstaltungId: number, seit: string): Promise<number> {
  return (await fetchJson<{ count: number }>(`${ANMELDUNGEN}/geaendert`, { veranstaltungId, seit })).count;
}
