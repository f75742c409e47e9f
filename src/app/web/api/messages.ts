/** The labels of the fields. */
const FIELDS: Readonly<Record<string, string>> = {
  name: 'Name',
  beginn: 'Beginn',
  ende: 'Ende',
  meldebeginn: 'Meldebeginn',
  meldeschluss: 'Meldeschluss',
  ort: 'Ort',
  maxTeilnehmende: 'Plätze',
  teilnahmegebuehr: 'Gebühr',
  beschreibung: 'Beschreibung',
  vorname: 'Vorname',
  nachname: 'Nachname',
  email: 'E-Mail',
  status: 'Status',
  kommentar: 'Kommentar',
};

/** The messages for 503: each pair is a part of the server's text and the sentence for people. */
const UNAVAILABLE: readonly (readonly [string, string])[] = [
  ['database cannot be reached', 'Die Datenbank ist gerade nicht erreichbar.'],
  ['took too long', 'Die Datenbank hat zu lange gebraucht.'],
  ['Another write', 'Jemand anders hat gerade denselben Eintrag gespeichert. Bitte noch einmal versuchen.'],
];

/** The fields that the server's text names: in `ende: expected …`, or in a constraint's name. */
export function fieldsIn(text: string): string[] {
  return Object.keys(FIELDS).filter((name) => text.split(/[^A-Za-z]+/).includes(name));
}

/**
 * Explains an error, in German.
 * @param status of HTTP; 0 where no answer came.
 * @param text the server's own.
 */
export function messageOf(status: number, text: string): string {
  const named = fieldsIn(text)
    .map((name) => FIELDS[name])
    .join(', ');
  switch (status) {
    case 0:
      return 'Der Server ist nicht erreichbar.';
    case 400:
      return named ? `Bitte prüfen: ${named}.` : 'Eine Angabe stimmt nicht.';
    case 401:
      return 'Die Sitzung ist abgelaufen. Bitte neu anmelden.';
    case 403:
      return 'Dafür fehlt die Berechtigung.';
    case 404:
      return 'Den Eintrag gibt es nicht mehr.';
    case 409:
      return named
        ? `Das widerspricht anderen Angaben. Bitte prüfen: ${named}.`
        : 'Das widerspricht anderen Einträgen.';
    case 412:
      return 'Der Eintrag wurde inzwischen geändert.';
    case 413:
      return 'Das ist zu viel Text.';
    case 429:
      return 'Das waren zu viele Anfragen auf einmal. Bitte kurz warten.';
    case 502:
    case 504:
      return 'Der Server antwortet nicht.';
    case 503:
      return UNAVAILABLE.find(([part]) => text.includes(part))?.[1] ?? 'Der Server ist gerade nicht bereit.';
    default:
      return 'Auf dem Server ist ein Fehler aufgetreten.';
  }
}
