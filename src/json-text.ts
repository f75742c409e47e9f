/**
 * The elements of a JSON array, as text. JSON.parse and JSON.stringify would change them: numbers beyond 2^53, 1.0, 1e400.
 * @param text what Postgres made: an array in valid JSON.
 */
export function elementsOf(text: string): string[] {
  const elements: string[] = [];
  let depth = 0;
  let from = 0;
  // Strings as a whole, so that no bracket or comma in one counts
  for (const { 0: token, index } of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{},]/gs)) {
    if (token === '[' || token === '{') depth += 1;
    if (depth === 1 && token === '[' && elements.length === 0) from = index + 1;
    if (depth === 1 && (token === ',' || token === ']')) {
      const element = text.slice(from, index).trim();
      if (element !== '') elements.push(element);
      from = index + 1;
    }
    if (token === ']' || token === '}') depth -= 1;
  }
  return elements;
}

/**
 * An object in JSON from texts that are JSON, and from values. Fields that are undefined are left out.
 * @param texts of these fields what stands there goes out as it is, but for ends of lines, which can only be between tokens.
 */
export function jsonObject(
  values: Readonly<Record<string, unknown>>,
  texts: Readonly<Record<string, string | undefined>>,
): string {
  const fields = Object.entries(values).flatMap(([name, value]) => {
    const text = texts[name]?.replace(/[\r\n]+/g, ' ') ?? JSON.stringify(value);
    return text === undefined ? [] : [`${JSON.stringify(name)}:${text}`];
  });
  return `{${fields.join(',')}}`;
}
