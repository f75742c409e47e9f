/** The path of the registrations. */
export const ANMELDUNGEN = '/api/anmeldungen';

/** The registrations for one event, in the feed. */
export function anmeldungenOf(veranstaltungId: number) {
  return { resource: 'anmeldung', scope: { veranstaltung_id: veranstaltungId } } as const;
}

/** The status of a registration. */
export type Status = 'OFFEN' | 'BESTAETIGT' | 'STORNIERT' | 'ABGELEHNT';

/** The labels of a registration's status. */
export const STATUS_TEXTS: Readonly<Record<Status, string>> = {
  OFFEN: 'offen',
  BESTAETIGT: 'bestätigt',
  STORNIERT: 'storniert',
  ABGELEHNT: 'abgelehnt',
};

/** A registration for an event. */
export interface Anmeldung {
  id: number;
  veranstaltungId: number;
  vorname: string;
  nachname: string;
  email: string;
  status: Status;
  kommentar: string | null;
  erstelltAm: string;
}

/** A row of the list, with its version. */
export interface AnmeldungInList extends Anmeldung {
  etag: string;
  /** The place in the queue of those who wait for a decision, from 1. */
  warteplatz: number | null;
  /** Another one for the same event has the same name or address. */
  doppelt: boolean;
}

/** The number of an event's registrations with each status. */
export type Zahlen = Readonly<Record<Status, number>>;

/** Adds up all registrations. */
export function sumOf(zahlen: Zahlen | undefined): number {
  return Object.values(zahlen ?? {}).reduce((sum, each) => sum + each, 0);
}

/** The counts once a registration has gone from one status to another. */
export function moved(zahlen: Zahlen, from: Status | undefined, to: Status): Zahlen {
  if (from === undefined || from === to) return zahlen;
  return { ...zahlen, [from]: zahlen[from] - 1, [to]: zahlen[to] + 1 };
}

/** `Ada Schröder` */
export function nameOf({ vorname, nachname }: Pick<Anmeldung, 'vorname' | 'nachname'>): string {
  return `${vorname} ${nachname}`;
}
