import type { Kysely } from 'kysely';
import type { Database, NewAnmeldung, NewVeranstaltung } from './tables.js';

const DAY_MS = 24 * 60 * 60 * 1000;

/** Some plausible events, on days around today, and registrations for them. In one transaction. */
export async function seed(db: Kysely<Database>): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    const events = await transaction.insertInto('veranstaltung').values(veranstaltungen()).returning('id').execute();
    const registrations = events.flatMap(({ id }, index) => anmeldungen(id, index));
    await transaction.insertInto('anmeldung').values(registrations).execute();
  });
}

function veranstaltungen(): NewVeranstaltung[] {
  const event = (
    name: string,
    ort: string,
    inDays: number,
    days: number,
    places: number,
    cents: number,
    text: string,
  ) => ({
    name,
    ort,
    beginn: dayIn(inDays),
    ende: dayIn(inDays + days - 1),
    meldebeginn: new Date(Date.now() - 30 * DAY_MS),
    meldeschluss: new Date(Date.now() + (inDays - 7) * DAY_MS),
    maxTeilnehmende: places,
    teilnahmegebuehr: cents,
    beschreibung: text,
  });
  return [
    event('Sommerfest des Segelvereins', 'Hamburg', 60, 1, 120, 0, 'Regatta, Grillen und Musik am Steg.'),
    event('Datenbanktage', 'Leipzig', 45, 3, 80, 29_900, 'Vorträge und Werkstätten rund um PostgreSQL.'),
    event('Erste Hilfe, Auffrischung', 'Bremen', 21, 1, 16, 4500, 'Acht Stunden, mit Bescheinigung.'),
    event('Wanderwochenende im Harz', 'Schierke', 33, 2, 25, 8900, 'Zwei Tage über den Brocken, mit Übernachtung.'),
    event('Chorprobe mit Konzert', 'Lübeck', 75, 2, 60, 1500, 'Samstag Probe, Sonntag Konzert in St. Marien.'),
  ];
}

// biome-ignore format: pairs
const PEOPLE = [
  ['Ada', 'Schröder'], ['Jonas', 'Petersen'], ['Mira', 'Yılmaz'], ['Lukas', 'Hoffmann'], ['Nele', 'Brandt'],
  ['Emil', 'Nowak'], ['Frieda', 'Köhler'], ['Ole', 'Jansen'], ['Samira', 'Haddad'], ['Theo', 'Winkler'],
  ['Greta', 'Ärmel'], ['Hannes', 'Armbruster'], ['Ida', 'Österreicher'], ['Jasper', 'Ostermann'], ['Klara', 'Über'],
  ['Levin', 'Strauß'], ['Marlene', 'Strasser'], ['Noah', 'Vogt'], ['Paula', 'de Vries'], ['Ruben', 'von der Heide'],
  ['Sofie', 'Lindqvist'], ['Tarek', 'Aziz'], ['Ulrike', 'Müller-Lüdenscheidt'], ['Viktor', 'Zöllner'],
] as const;

const COMMENTS = ['Bitte vegetarisch.', 'Reist erst am zweiten Tag an.', 'Braucht eine Rechnung auf den Verein.'];

/** The number of people registered for each event, in the order of the events. */
const REGISTERED = [12, 24, 19, 9, 15];

function anmeldungen(veranstaltungId: number, index: number): NewAnmeldung[] {
  const status = ['OFFEN', 'BESTAETIGT', 'BESTAETIGT', 'BESTAETIGT', 'STORNIERT', 'BESTAETIGT', 'BESTAETIGT'] as const;
  // From another one on for each event
  const people = [...PEOPLE.slice(index * 3), ...PEOPLE.slice(0, index * 3)].slice(0, REGISTERED[index]);
  return people.map(([vorname, nachname], place) => ({
    veranstaltungId,
    vorname,
    nachname,
    email: `${vorname}.${nachname}@example.org`.toLowerCase().replaceAll(' ', '-'),
    status: status[place % status.length] ?? 'OFFEN',
    kommentar: place % 4 === 2 ? (COMMENTS[(place >> 2) % COMMENTS.length] ?? null) : null,
    erstelltAm: new Date(Date.now() - (people.length - place) * 0.9 * DAY_MS),
  }));
}

/** `2030-07-01`, in the server's time zone. */
function dayIn(days: number): string {
  const date = new Date();
  date.setDate(date.getDate() + days);
  return [date.getFullYear(), date.getMonth() + 1, date.getDate()]
    .map((part) => String(part).padStart(2, '0'))
    .join('-');
}
