/** What takes the place of a secret. */
const REDACTED = '[redacted]';

/** Fields of logged objects that are never written, at any depth. */
const SECRET_FIELDS = 'authorization|cookie|set-cookie|password|passwd|secret|jwtSecret|token|connectionString';

/** Each secret that may stand in a text, and what is left of it. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  // A JWT, wherever it stands
  [/\beyJ[\w-]{4,}\.[\w-]*(?:\.[\w-]*)?/g, REDACTED],
  [/\b(bearer|basic) +[\w.~+/=-]+/gi, `$1 ${REDACTED}`],
  // The password of a connection's address, which may hold an @ that nobody escaped
  [/\b([a-z][a-z\d+]*:\/\/[^\s:@/"\\]*):[^\s"\\]*@/gi, `$1:${REDACTED}@`],
  // In a query, and in Postgres' `password=… user=…`
  [/\b((?:access_|id_)?token|password|passwd|secret)(=|%3D)[^\s&"\\]+/gi, `$1$2${REDACTED}`],
  [new RegExp(`"(${SECRET_FIELDS})":(?:"(?:[^"\\\\]|\\\\.)*"|\\d+)`, 'gi'), `"$1":"${REDACTED}"`],
];

/**
 * A line of the log, or another text for people, without tokens and passwords: those of URLs, of connection strings, in
 * the messages and stacks of errors, and of fields that are named after them. JSON stays JSON.
 */
export function redact(text: string): string {
  return PATTERNS.reduce((line, [pattern, replacement]) => line.replace(pattern, replacement), text);
}
