import type { Generated, GeneratedAlways, Insertable } from 'kysely';

/** The application's tables, in camelCase for Kysely's CamelCasePlugin. */
export interface Database {
  veranstaltung: VeranstaltungTable;
  anmeldung: AnmeldungTable;
}

/** An event that people register for. */
export interface VeranstaltungTable {
  id: GeneratedAlways<number>;
  name: string;
  /** `2030-07-01` */
  beginn: string;
  /** `2030-07-02`, not before `beginn` */
  ende: string;
  meldebeginn: Date;
  /** Not before `meldebeginn` */
  meldeschluss: Date;
  ort: string | null;
  maxTeilnehmende: number;
  /** The fee in cents. */
  teilnahmegebuehr: number;
  beschreibung: string | null;
}

/** The status of a registration. */
export const STATUS = ['OFFEN', 'BESTAETIGT', 'STORNIERT', 'ABGELEHNT'] as const;

/** A registration for an event. */
export interface AnmeldungTable {
  id: GeneratedAlways<number>;
  veranstaltungId: number;
  vorname: string;
  nachname: string;
  email: string;
  status: Generated<(typeof STATUS)[number]>;
  kommentar: string | null;
  erstelltAm: Generated<Date>;
}

export type NewVeranstaltung = Insertable<VeranstaltungTable>;
export type NewAnmeldung = Insertable<AnmeldungTable>;
