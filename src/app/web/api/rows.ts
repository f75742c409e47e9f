import { ApiError, request } from './request.js';

/** A page of a list. */
export interface Page<Item> {
  items: Item[];
  total: number;
  offset: number;
  /** The feed's position of before it was read. */
  position?: string | undefined;
}

/** A row and the version that a change of it names. */
export interface Versioned<Row> {
  row: Row;
  etag: string;
}

/** Parameters of a list; those without a value are left out. */
export type ListParameters = Readonly<Record<string, string | number | undefined>>;

/** A path with its parameters. */
export function withParameters(path: string, parameters: ListParameters): string {
  const given = Object.entries(parameters).flatMap(([name, value]) =>
    value === undefined || value === '' ? [] : [[name, String(value)]],
  );
  return given.length > 0 ? `${path}?${new URLSearchParams(given)}` : path;
}

/** Reads JSON. */
export async function fetchJson<Answer>(path: string, parameters: ListParameters = {}): Promise<Answer> {
  return (await request('GET', withParameters(path, parameters))).json() as Promise<Answer>;
}

/** A page of a list. */
export async function fetchList<Item, More = unknown>(
  path: string,
  parameters: ListParameters = {},
): Promise<Page<Item> & More> {
  const response = await request('GET', withParameters(path, parameters));
  const page = (await response.json()) as Page<Item> & More;
  return { ...page, position: response.headers.get('Change-Feed-Position') ?? undefined };
}

/** One row and its version. */
export async function fetchRow<Row>(path: string): Promise<Versioned<Row>> {
  return versioned(await request('GET', path));
}

/** Creates a row. */
export async function createRow<Row>(path: string, values: Partial<Row>): Promise<Versioned<Row>> {
  return versioned(await request('POST', path, values));
}

/** Changes a row, if it still is what it was. @throws {ApiError} 412 where it is not, or where its version is unknown. */
export async function changeRow<Row>(path: string, values: Partial<Row>, etag: string): Promise<Versioned<Row>> {
  return versioned(await request('PATCH', path, values, known(etag)));
}

/**
 * Changes fields of a row, if these are still what they were: of a row that others write faster than an answer takes, no
 * version ever holds. @throws {ApiError} 412 where one of them is not.
 */
export async function changeFields<Row extends object>(
  path: string,
  values: Partial<Row>,
  before: Row,
): Promise<Versioned<Row>> {
  const vorher = Object.fromEntries(Object.entries(before).filter(([name]) => name in values));
  return versioned(await request('PATCH', path, { ...values, vorher }, '*'));
}

/** Deletes a row, if it still is what it was. @throws {ApiError} 412 where it is not, or where its version is unknown. */
export async function deleteRow(path: string, etag: string): Promise<void> {
  await request('DELETE', path, undefined, known(etag));
}

/** Without a version the server would write over whatever is there. */
function known(etag: string): string {
  if (etag === '') throw new ApiError(412);
  return etag;
}

async function versioned<Row>(response: Response): Promise<Versioned<Row>> {
  return { row: (await response.json()) as Row, etag: response.headers.get('ETag') ?? '' };
}
