/** The path of the events. */
export const VERANSTALTUNGEN = '/api/veranstaltungen';

/** An event that people register for. Days as `2030-07-01`, moments in UTC, money in cents. */
export interface Veranstaltung {
  id: number;
  name: string;
  beginn: string;
  ende: string;
  meldebeginn: string;
  meldeschluss: string;
  ort: string | null;
  maxTeilnehmende: number;
  teilnahmegebuehr: number;
  beschreibung: string | null;
}

/** A row of the list: with its version, and how many have a confirmed place. */
export interface VeranstaltungInList extends Veranstaltung {
  belegt: number;
  etag: string;
}
