/** Why a token is asked for: for a new stream or call, because the last one has ended, or because it was refused. */
export type TokenReason = 'connect' | 'expired' | 'refused';

/** What an {@link SSEService} is told. */
export interface SSEServiceOptions {
  /** Where the events are. `subscribe` and `unsubscribe` lie below it. Default `/api/events`. */
  url?: string;
  /**
   * The JWT, asked for before each stream and each call. Null: there is none, and nothing is sent until there is.
   * Default: `localStorage.jwt`.
   */
  getToken?: (reason: TokenReason) => string | null | Promise<string | null>;
  /**
   * Where to begin: the header `Change-Feed-Position` of a list, so that what changed since that list is told. Without
   * it each listener is told once, at the first `connected`, that it may have missed changes (`reason: 'resync'`).
   */
  lastEventId?: string;
  /** After as many failures in a row it rests for good, until `connect()`. Default: it rests after five, and goes on. */
  maxAttempts?: number;
  /** The wait after a first failure is up to this, in ms, doubled with each, at most 30 s. Default 1000. */
  retryBaseMs?: number;
  /** Between two attempts of a service that rests, in ms; none while the page can't be seen. Default 60,000. */
  restMs?: number;
  /** A stream that is silent for this long is dead, in ms. The server's heartbeat is 30 s. Default 75,000. */
  silenceMs?: number;
  /** A tab that is hidden for this long closes its stream, in ms. Default 30,000. */
  hiddenMs?: number;
  /** Default: the page's own. */
  fetch?: typeof fetch;
  /** Hears what happens, for troubleshooting. Default: `console`, at the level debug. */
  logger?: Pick<Console, 'debug'>;
}

/** The token of `localStorage.jwt`; null where there is none, and outside a browser. */
function storedToken(): string | null {
  return typeof localStorage === 'undefined' ? null : localStorage.getItem('jwt');
}

/** With every default. */
export type Settings = Required<Omit<SSEServiceOptions, 'lastEventId' | 'maxAttempts'>> &
  Pick<SSEServiceOptions, 'lastEventId' | 'maxAttempts'>;

/** Puts the defaults in. */
export function settingsOf(options: SSEServiceOptions): Settings {
  return {
    url: '/api/events',
    getToken: storedToken,
    retryBaseMs: 1000,
    restMs: 60_000,
    silenceMs: 75_000,
    hiddenMs: 30_000,
    // Called as a method of something else, the browser's own would throw.
    fetch: (...request) => fetch(...request),
    logger: console,
    ...options,
  };
}
