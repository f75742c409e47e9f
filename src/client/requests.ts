import { Gate } from './gate.js';
import type { Settings, TokenReason } from './options.js';
import { later } from './timing.js';

/** The longest wait for a token, in ms; later it counts as a failure. */
const TOKEN_MS = 30_000;

/** The headers of a request, and the token in them if there is one. */
export interface Authorized {
  readonly headers: Headers;
  readonly token: string | undefined;
}

/** Sends every request of a service: with its token and headers, and at most two a second. */
export class Requests {
  readonly #settings: () => Settings;
  readonly #gate = new Gate();
  #refused: string | undefined;

  constructor(settings: () => Settings) {
    this.#settings = settings;
  }

  /**
   * Makes the headers of a request. Rejects as `getToken` and `headers` do.
   * @returns undefined where there is no token, or only one that the server has refused.
   */
  async authorize(reason: TokenReason): Promise<Authorized | undefined> {
    const { getToken, headers: given } = this.#settings();
    const headers = new Headers(typeof given === 'function' ? await given() : given);
    if (getToken === null) return { headers, token: undefined };
    const token = await inTime(getToken(reason));
    if (!token || token === this.#refused) return undefined;
    headers.set('Authorization', `Bearer ${token}`);
    return { headers, token };
  }

  /** Takes note of a 401: the same token is not sent again. */
  refuse({ token }: Authorized): void {
    this.#refused = token;
  }

  /** Lets a refused token be tried again. */
  forgive(): void {
    this.#refused = undefined;
  }

  /** Fetches when it is its turn. Rejects as `fetch` does. */
  async send(
    url: string,
    { headers }: Authorized,
    init: RequestInit & { signal: AbortSignal },
    onSent = () => {},
  ): Promise<Response> {
    const { fetch, credentials } = this.#settings();
    if (!(await this.#gate.pass(init.signal))) throw new Error('given up');
    onSent();
    return fetch(url, { cache: 'no-store', credentials, headers, ...init });
  }
}

async function inTime<Result>(result: Result | Promise<Result>): Promise<Result> {
  let cancel = () => {};
  const late = new Promise<never>((_, reject) => {
    cancel = later(TOKEN_MS, () => reject(new Error(`getToken has not answered for ${TOKEN_MS / 1000} s`)));
  });
  try {
    return await Promise.race([result, late]);
  } finally {
    cancel();
  }
}
