/** A JSON string as a whole, so that no bracket or comma in one counts, or a token that parts or nests. */
const TOKEN = /"(?:[^"\\]|\\.)*"|[[\]{},]/gs;

/**
 * The elements of a JSON array, as text. JSON.parse and JSON.stringify would change them: numbers beyond 2^53, 1.0, 1e400.
 * @param text what Postgres made: an array in valid JSON.
 */
export function elementsOf(text: string): string[] {
  const elements: string[] = [];
  let depth = 0;
  let from = 0;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    if (token === '[' || token === '{') depth += 1;
    if (depth === 1 && elements.length === 0 && (token === '[' || token === '{')) from = index + 1;
    if (depth === 1 && (token === ',' || token === ']' || token === '}')) {
      const element = text.slice(from, index).trim();
      if (element !== '') elements.push(element);
      from = index + 1;
    }
    if (token === ']' || token === '}') depth -= 1;
  }
  return elements;
}

/**
 * The members of a JSON object: each name with its value as text.
 * @param text what Postgres made: an object in valid JSON.
 */
export function membersOf(text: string): [name: string, value: string][] {
  return elementsOf(text).map((member) => {
    const [name = ''] = member.match(TOKEN) ?? [];
    return [JSON.parse(name) as string, member.slice(member.indexOf(':', name.length) + 1).trim()];
  });
}

/**
 * Makes an object in JSON from texts that are JSON, and from values. Fields that are undefined are left out.
 * @param texts the JSON texts of these fields: they stay as they are, except for ends of lines, which can only be between tokens.
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
