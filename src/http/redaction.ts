/** The text in the place of a secret. */
const REDACTED = '[redacted]';

/** Fields of logged objects that are never written, at any depth. */
const SECRET_FIELDS = 'authorization|cookie|set-cookie|password|passwd|secret|jwtSecret|token|connectionString';

/** The first part of a JWT, at the end of a text: `{"` in base64url. */
const JWT_HEADER = /\beyJ[\w-]{4,}$/;

/** A text, or a function that makes one of the match. */
type Replacement = string | ((match: string) => string);

/**
 * The secrets that a text may contain, and the replacement of each. Clients choose text that is logged, so each pattern
 * takes time in proportion to it: a lookbehind keeps a pattern that matches long runs from starting at each of their places.
 */
const PATTERNS: readonly (readonly [RegExp, Replacement])[] = [
  // A JWT at any place
  [/(?<![\w.-])[\w-]+(?:\.[\w-]*)+/g, withoutJwt],
  [/\b(bearer|basic) +[\w.~+/=-]+/gi, `$1 ${REDACTED}`],
  // The password of a connection's address, which may hold an @ that nobody escaped; our own example is none
  [
    /(?<![^\s"\\])[^\s"\\]+@(?!host:port\/database(?![\w-]))/g,
    (run) => run.replace(/\b([a-z][a-z\d+]{0,30}:\/\/[^:@/]*):.*@$/i, `$1:${REDACTED}@`),
  ],
  // In a query, and in Postgres' `password=… user=…`
  [/\b((?:access_|id_)?token|password|passwd|secret)(=|%3D)[^\s&"\\]+/gi, `$1$2${REDACTED}`],
  [new RegExp(`"(${SECRET_FIELDS})":(?:"(?:[^"\\\\]|\\\\.)*"|\\d+)`, 'gi'), `"$1":"${REDACTED}"`],
];

/**
 * Removes tokens and passwords from a line of the log, or another text: those of URLs, of connection strings, in the
 * messages and stacks of errors, and of fields that are named after them. JSON stays JSON.
 */
export function redact(text: string): string {
  return PATTERNS.reduce(
    (line, [pattern, replacement]) =>
      typeof replacement === 'string' ? line.replace(pattern, replacement) : line.replace(pattern, replacement),
    text,
  );
}

/** Removes a JWT from a run. @param run letters, digits, _ and -, with dots between. */
function withoutJwt(run: string): string {
  const parts = run.split('.');
  const header = parts.findIndex((part, i) => i < parts.length - 1 && JWT_HEADER.test(part));
  if (header < 0) return run;
  return [...parts.slice(0, header), parts[header]?.replace(JWT_HEADER, REDACTED)].join('.');
}
