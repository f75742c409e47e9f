// Browsers load this file as well: it imports nothing, and stays small.

/** The columns of a scope, each with its value as text. The order of the object says nothing. */
export type Scope = Readonly<Record<string, string>>;

/** A value of a scope's column, as a program has it. A number has to be a safe integer. */
export type ScopeValue = string | number | bigint | boolean;

/** A subscription's subject: a whole resource, or with `scope` the rows of it that have these values in these columns. */
export interface Topic {
  readonly resource: string;
  readonly scope?: Scope;
}

/** The largest number of columns of one scope. */
const MAX_COLUMNS = 4;
/** The longest name of a column, in bytes: an own event may have longer ones than a table. */
const MAX_NAME_BYTES = 200;
/** The longest value, in bytes: a longer one belongs to no scope. */
const MAX_VALUE_BYTES = 200;

/**
 * Reads a topic: `anmeldung`, or `anmeldung?veranstaltung_id=7&status=neu`. Names and values are percent-encoded, so a list
 * of topics is split at its commas before. The resource's name stays as it is, and is not checked.
 * @throws {TypeError} for what is no topic, with what was expected.
 */
export function parseTopic(text: string): Topic {
  const [resource = '', conditions, ...rest] = text.split('?');
  if (conditions === undefined) return { resource };
  expect(rest.length === 0 && resource !== '' && resource !== '*', 'the name of a resource before one ?');
  const pairs = conditions.split('&').map((pair) => {
    const [name = '', value, ...more] = pair.split('=');
    expect(value !== undefined && more.length === 0, 'name=value, joined with &');
    return [decoded(name), decoded(value as string)] as const;
  });
  return { resource, scope: checked(pairs) };
}

/**
 * Makes a topic from values as a program has them.
 * @throws {TypeError} for a value that is no text, safe integer or boolean, and for what {@link parseTopic} refuses.
 */
export function topicOf(resource: string, values: Readonly<Record<string, ScopeValue>>): Topic {
  const pairs = Object.entries(values).map(([name, value]) => {
    const fits = Number.isSafeInteger(value) || ['string', 'bigint', 'boolean'].includes(typeof value);
    expect(fits, `text, a whole number or a boolean for ${name}`);
    return [name, String(value)] as const;
  });
  return { resource, scope: checked(pairs) };
}

/**
 * Prints a topic in its one canonical form: columns sorted by their bytes, names and values percent-encoded.
 * @throws {TypeError} for a lone surrogate.
 */
export function formatTopic({ resource, scope }: Topic): string {
  if (!scope) return resource;
  const pairs = columnsOf(scope).map((name) => [name, scope[name] ?? ''].map(encoded).join('='));
  return `${resource}?${pairs.join('&')}`;
}

/** Lists the columns of a scope in their canonical order: by the bytes of their names, as in Postgres' collation "C". */
export function columnsOf(scope: Scope): string[] {
  const sorted = Object.keys(scope).map((name) => [bytesOf(name), name] as const);
  return sorted.sort(([one], [other]) => (one < other ? -1 : 1)).map(([, name]) => name);
}

/** Makes a scope of names and values. @throws {TypeError} where one breaks a limit or comes twice. */
function checked(pairs: readonly (readonly [name: string, value: string])[]): Scope {
  expect(pairs.length > 0 && pairs.length <= MAX_COLUMNS, `1 to ${MAX_COLUMNS} pairs`);
  expect(new Set(pairs.map(([name]) => name)).size === pairs.length, 'each name once');
  for (const [name, value] of pairs) {
    const length = bytesOf(name).length;
    expect(length > 0 && length <= MAX_NAME_BYTES, `a name of 1 to ${MAX_NAME_BYTES} bytes`);
    expect(bytesOf(value).length <= MAX_VALUE_BYTES, `a value of at most ${MAX_VALUE_BYTES} bytes`);
    // Postgres has no text with NUL.
    expect(!`${name}${value}`.includes('\0'), 'no NUL');
  }
  // An own property even of __proto__
  return Object.fromEntries(pairs);
}

/** Undoes percent-encoding. @throws {TypeError} for a malformed `%`, and bytes that are not UTF-8. */
export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid('percent-encoding');
  }
}

/** Percent-encodes a text. @throws {TypeError} for a lone surrogate. */
function encoded(text: string): string {
  try {
    return encodeURIComponent(text);
  } catch {
    throw invalid('no lone surrogates');
  }
}

/** Returns the bytes of a text in UTF-8, one character each. @throws {TypeError} for a lone surrogate. */
function bytesOf(text: string): string {
  return encoded(text).replace(/%(..)/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16)));
}

function expect(holds: boolean, expected: string): void {
  if (!holds) throw invalid(expected);
}

function invalid(expected: string): TypeError {
  return new TypeError(`scope: expected ${expected}`);
}
