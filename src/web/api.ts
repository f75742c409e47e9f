import { sseService } from '../client/index.js';
import { getToken } from './session.js';

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

/** A row of the list: with how many have a confirmed place. */
export interface VeranstaltungInList extends Veranstaltung {
  belegt: number;
}

/** Where a registration stands. */
export type Status = 'OFFEN' | 'BESTAETIGT' | 'STORNIERT' | 'ABGELEHNT';

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

/** A page of a list. */
export interface Page<Item> {
  items: Item[];
  total: number;
}

/** A row and the version that a change of it names. */
export interface Versioned<Row> {
  row: Row;
  etag: string;
}

/** The server, or the way to it, has refused. The message is for people, in German. */
export class ApiError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

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

/** What went wrong, in German. The server's own text names fields. */
function messageOf(status: number, text: string): string {
  // In `ende: expected …`, and in a constraint's name such as ende_nicht_vor_beginn
  const fields = Object.keys(FIELDS).filter((name) => text.split(/[^A-Za-z]+/).includes(name));
  const named = fields.map((name) => FIELDS[name]).join(', ');
  switch (status) {
    case 0:
      return 'Der Server ist nicht zu erreichen.';
    case 400:
      return named ? `Bitte prüfen: ${named}.` : 'Eine Angabe stimmt nicht.';
    case 401:
      return 'Die Anmeldung gilt nicht mehr. Bitte neu anmelden.';
    case 403:
      return 'Dafür fehlt das Recht.';
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
    case 503:
      return 'Der Server ist gerade überlastet. Bitte gleich noch einmal versuchen.';
    default:
      return 'Auf dem Server ist etwas schiefgegangen.';
  }
}

async function request(method: string, path: string, body?: unknown, etag?: string): Promise<Response> {
  const send = async (token: string | null) =>
    fetch(path, {
      method,
      headers: {
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
        ...(etag && { 'If-Match': etag }),
        // So that this page knows its own change when the feed tells of it.
        ...(method !== 'GET' && sseService.clientId && { 'Change-Feed-Client': sseService.clientId }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    }).catch(() => {
      throw new ApiError(0, messageOf(0, ''));
    });
  let response = await send(await getToken('connect'));
  if (response.status === 401) {
    const renewed = await getToken('refused');
    if (renewed) response = await send(renewed);
  }
  if (response.ok) return response;
  const answer = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
  throw new ApiError(response.status, messageOf(response.status, answer.error?.message ?? ''));
}

/** A page of a list. @param query parameters without a value are left out. */
export async function fetchList<Item>(
  path: string,
  query: Record<string, string | number | undefined>,
): Promise<Page<Item>> {
  const parameters = Object.entries(query).flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [[name, String(value)]],
  );
  return (await request('GET', `${path}?${new URLSearchParams(parameters)}`)).json() as Promise<Page<Item>>;
}

/** One row and its version. */
export async function fetchRow<Row>(path: string): Promise<Versioned<Row>> {
  return versioned(await request('GET', path));
}

/** Creates a row. */
export async function createRow<Row>(path: string, values: Partial<Row>): Promise<Versioned<Row>> {
  return versioned(await request('POST', path, values));
}

/** Changes a row, if it still is what it was. @throws {ApiError} 412 where it is not. */
export async function changeRow<Row>(path: string, values: Partial<Row>, etag: string): Promise<Versioned<Row>> {
  return versioned(await request('PATCH', path, values, etag));
}

/** Deletes a row, if it still is what the page shows. @throws {ApiError} 412 where it is not. */
export async function deleteRow<Row extends object>(path: string, shown: Row): Promise<void> {
  const { row, etag } = await fetchRow<Partial<Row>>(path);
  const same = (name: keyof Row) => !(name in row) || row[name] === shown[name];
  if (!(Object.keys(shown) as (keyof Row)[]).every(same)) throw new ApiError(412, messageOf(412, ''));
  await request('DELETE', path, undefined, etag);
}

async function versioned<Row>(response: Response): Promise<Versioned<Row>> {
  return { row: (await response.json()) as Row, etag: response.headers.get('ETag') ?? '' };
}
