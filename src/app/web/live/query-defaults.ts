import { ApiError } from '../api/request.js';

/** The longest wait before another try, in ms. */
const MAX_WAIT_MS = 15_000;

/**
 * The defaults of the page's queries. The feed says when something has changed: until then what is shown is right, unless it
 * could not be read. Then it is tried again until it can.
 */
export const queryDefaults = {
  refetchOnWindowFocus: false,
  refetchOnReconnect: false,
  networkMode: 'always',
  retry: (_count: number, error: unknown) => !(error instanceof ApiError) || error.passing,
  retryDelay: (count: number, error: unknown) => {
    const asked = error instanceof ApiError ? (error.retryAfterMs ?? 0) : 0;
    return Math.min(Math.max(1000 * 2 ** count * (0.75 + Math.random() / 2), asked), MAX_WAIT_MS);
  },
} as const;
