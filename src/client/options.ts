/** Why a token is asked for: for a new stream or call, because the last one has ended, or because it was refused. */
export type TokenReason = 'connect' | 'expired' | 'refused';

/** What an {@link SSEService} is told. Undefined stands for the default everywhere. */
export interface SSEServiceOptions {
  /**
   * Where the events are: a path or an absolute URL, also of another origin and with a query. `subscribe`,
   * `unsubscribe` and `poll` lie below it. Default `/api/events`.
   */
  url?: string | undefined;
  /**
   * Gives the JWT, and is asked before each stream and each call. Nothing is sent while it gives null, undefined or ''.
   * Null in its place: there are no tokens, and a cookie or `headers` say who asks. Default: `localStorage.jwt`.
   */
  getToken?: ((reason: TokenReason) => Token | Promise<Token>) | null | undefined;
  /** Further headers of each request, against CSRF for one. A function is asked before each. Default: none. */
  headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>) | undefined;
  /** Which cookies go along, as in `fetch`. Default `same-origin`. */
  credentials?: RequestCredentials | undefined;
  /**
   * Where listeners begin that name no position of their own: the header `Change-Feed-Position` of a list, so that
   * they are told what has changed since. Without it each is told once, at the first `connected`, that it may have missed
   * changes (`reason: 'resync'`).
   */
  lastEventId?: string | null | undefined;
  /** After as many failures in a row it rests for good, until `connect()`. Default: it never does. */
  maxAttempts?: number | undefined;
  /** The wait after a first failure is up to this, in ms, and at least 500. Default 1000. */
  retryBaseMs?: number | undefined;
  /** When attempts have failed for so long, in ms, it rests. Default 120,000. */
  restAfterMs?: number | undefined;
  /** Between two attempts of a service that rests, in ms; none while the page can't be seen. Default 60,000. */
  restMs?: number | undefined;
  /** A stream that is silent for this long is dead, in ms. Default: one and a half of the server's heartbeats. */
  silenceMs?: number | undefined;
  /**
   * A stream that has not begun for so long, in ms, is given up, and polls take its place if they are answered sooner.
   * Default 10,000.
   */
  connectMs?: number | undefined;
  /** A tab that is hidden for this long closes its stream, in ms; `Infinity`: never. Default 30,000. */
  hiddenMs?: number | undefined;
  /**
   * Whether all tabs of a person share one stream, where the browser can. Tabs share only with the same token claims, or
   * with the same `identity`. Default true.
   */
  tabs?: boolean | undefined;
  /** Says whose rights the page has, where no token can be read: a person's id with a cookie, for one. Default: none. */
  identity?: string | undefined;
  /** Default: the page's own. */
  fetch?: typeof fetch | undefined;
  /** Is told what happens, for troubleshooting. Default: `console`; refused resources at the level warn, else debug. */
  logger?: Pick<Console, 'debug' | 'warn'> | undefined;
}

/** A JWT, or that there is none. */
type Token = string | null | undefined;

/** The token of `localStorage.jwt`; null where there is none, and outside a browser. */
function storedToken(): string | null {
  return typeof localStorage === 'undefined' ? null : localStorage.getItem('jwt');
}

type Optional = 'headers' | 'lastEventId' | 'maxAttempts' | 'silenceMs' | 'identity';

/** With every default. */
export type Settings = {
  [Name in Exclude<keyof SSEServiceOptions, Optional>]-?: Exclude<SSEServiceOptions[Name], undefined>;
} & Pick<SSEServiceOptions, Optional>;

const TIMES = ['maxAttempts', 'retryBaseMs', 'restAfterMs', 'restMs', 'silenceMs', 'connectMs', 'hiddenMs'] as const;

/**
 * Puts options over what is set already.
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
  // Called as a method of something else, the browser's own would throw.
  fetch: (...request) => fetch(...request),
  logger: console,
};
