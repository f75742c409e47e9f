/** The parameters of a URL: each a text, or a list where its name is repeated. */
export type Parameters = Readonly<Record<string, string | string[] | undefined>>;

/**
 * Reads the parameters of a URL. It takes time proportional to the URL's length. Koa's `ctx.query` takes time in the
 * square of their number (koa/lib/search-params.js): 7,000 of them, without a token, blocked the process for 1.6 s.
 * @param querystring the part of the URL behind `?`.
 */
export function parametersOf(querystring: string): Parameters {
  const parameters: Map<string, string | string[]> = new Map();
  for (const [name, value] of new URLSearchParams(querystring)) {
    const known = parameters.get(name);
    if (known === undefined) parameters.set(name, value);
    else if (Array.isArray(known)) known.push(value);
    else parameters.set(name, [known, value]);
  }
  // An own property even of __proto__
  return Object.fromEntries(parameters);
}
