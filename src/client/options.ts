/** The reason for which a token is needed: a new stream or call, the end of the last token, or its refusal. */
export type TokenReason = 'connect' | 'expired' | 'refused';

/** Options of an {@link SSEService}. Undefined means the default. */
export interface SSEServiceOptions {
  /**
   * The address of the events: a path or an absolute URL, also of another origin and with a query. `subscribe`,
   * `unsubscribe` and `poll` are below it. Default `/api/events`.
   */
  url?: string | undefined;
  /**
   * Returns the JWT. It is called before each stream and each call, and nothing is sent while it returns null, undefined or
   * ''. Null instead of a function: there are no tokens, and a cookie or `headers` identify the user. Default:
   * `localStorage.jwt`.
   */
  getToken?: ((reason: TokenReason) => Token | Promise<Token>) | null | undefined;
  /** Further headers of each request, for example against CSRF. A function is called before each. Default: none. */
  headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>) | undefined;
  /** The cookies that requests carry, as in `fetch`. Default `same-origin`. */
  credentials?: RequestCredentials | undefined;
  /**
   * The position at which listeners without one of their own begin: the header `Change-Feed-Position` of a list. They receive
   * what has changed since. Without it each is called once with `reason: 'resync'` at the first `connected`, because it may
   * have missed changes.
   */
  lastEventId?: string | null | undefined;
  /** The number of failures in a row after which it rests until `connect()`. Default: none. */
  maxAttempts?: number | undefined;
  /** The longest wait after a first failure, in ms; the shortest is 500. Default 1000. */
  retryBaseMs?: number | undefined;
  /** The time of failed attempts after which it rests, in ms. Default 120,000. */
  restAfterMs?: number | undefined;
  /** The time between two attempts while it rests, in ms; none while the page is hidden. Default 60,000. */
  restMs?: number | undefined;
  /** The silence after which a stream counts as dead, in ms. Default: one and a half of the server's heartbeats. */
  silenceMs?: number | undefined;
  /**
   * The time after which a stream that has not begun is given up, in ms. Polls replace it if they are answered sooner.
   * Default 10,000.
   */
  connectMs?: number | undefined;
  /** The time after which a hidden tab closes its stream, in ms; `Infinity`: never. Default 30,000. */
  hiddenMs?: number | undefined;
  /**
   * True lets all tabs of a person share one stream, where the browser can. Tabs share only with the same token claims, or
   * with the same `identity`. Default true.
   */
  tabs?: boolean | undefined;
  /** Names the person whose rights the page has, where there is no token to read: the person's id beside a cookie. Default: none. */
  identity?: string | undefined;
  /** Sends requests. Default: the page's `fetch`. */
  fetch?: typeof fetch | undefined;
  /** Receives lines for troubleshooting: refused resources at the level warn, all else at debug. Default: `console`. */
  logger?: Pick<Console, 'debug' | 'warn'> | undefined;
}

/** A JWT; null, undefined or '' where there is none. */
type Token = string | null | undefined;

/** Returns the token of `localStorage.jwt`; null where there is none, and outside a browser. */
function storedToken(): string | null {
  return typeof localStorage === 'undefined' ? null : localStorage.getItem('jwt');
}

type Optional = 'headers' | 'lastEventId' | 'maxAttempts' | 'silenceMs' | 'identity';

/** The options with all defaults. */
export type Settings = {
  [Name in Exclude<keyof SSEServiceOptions, Optional>]-?: Exclude<SSEServiceOptions[Name], undefined>;
} & Pick<SSEServiceOptions, Optional>;

const TIMES = ['maxAttempts', 'retryBaseMs', 'restAfterMs', 'restMs', 'silenceMs', 'connectMs', 'hiddenMs'] as const;

/**
 * Applies options to those that are set already.
 * @throws {TypeError} for a time that is no number from 0 on.
 */
export function settingsOf(options: SSEServiceOptions, before: Settings = DEFAULTS): Settings {
  for (const name of TIMES) {
    const value: unknown = options[name];
    if (value !== undefined && !(typeof value === 'number' && value >= 0))
      throw new TypeError(`${name}: expected a number from 0 on, got ${String(value)}`);
  }
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  return { ...before, ...Object.fromEntries(given) };
}

const DEFAULTS: Settings = {
  url: '/api/events',
  getToken: storedToken,
  credentials: 'same-origin',
  retryBaseMs: 1000,
  restAfterMs: 120_000,
  restMs: 60_000,
  connectMs: 10_000,
  hiddenMs: 30_000,
  tabs: true,
  // The browser's own would throw when it is called as a method of another object.
  fetch: (...request) => fetch(...request),
  logger: console,
};
