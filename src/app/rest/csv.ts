/** Excel takes a file for UTF-8 only with this at its beginning. */
const BYTE_ORDER_MARK = '\uFEFF';

/** Text that a spreadsheet would take for a formula, also after blanks: it may run commands of whoever opens the file. */
const FORMULA = /^\s*[=+\-@\t\r＝＋－＠]/;

/**
 * A table as CSV for a German Excel: semicolons, CRLF, quotes where they are needed, UTF-8 with a byte order mark. A cell
 * that would be a formula gets an apostrophe before it (OWASP, CSV Injection).
 */
export function toCsv(rows: readonly (readonly string[])[]): string {
  return BYTE_ORDER_MARK + rows.map((cells) => `${cells.map(cellOf).join(';')}\r\n`).join('');
}

function cellOf(text: string): string {
  const harmless = FORMULA.test(text) ? `'${text}` : text;
  return /[";\r\n]|^\s|\s$/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}
