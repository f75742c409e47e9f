import { sseService } from 'pg-change-feed/client';
import { anotherToken, currentToken } from '../session/session.js';
import { messageOf } from './messages.js';

/** The longest wait for an answer, in ms: the server gives up after 30 s. */
const ANSWER_MS = 40_000;

/** The server, or the way to it, has refused. The message is for people, in German. */
export class ApiError extends Error {
  /** The status of HTTP; 0 where no answer came. */
  readonly status: number;
  /** The server's own text, in English; it names fields. */
  readonly detail: string;
  /** The wait that the server asks for, in ms. */
  readonly retryAfterMs: number | undefined;

  constructor(status: number, detail = '', retryAfterMs?: number) {
    super(messageOf(status, detail));
    this.status = status;
    this.detail = detail;
    this.retryAfterMs = retryAfterMs;
  }

  /** Tells whether the same request may succeed a little later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 429 || this.status >= 500;
  }
}

/** Sends a request with the session's token, and once more with another where the first was refused. */
export async function request(method: string, path: string, body?: unknown, etag?: string): Promise<Response> {
  const send = async (token: string | null) =>
    fetch(path, {
      method,
      headers: {
        ...(token && { Authorization: `Bearer ${token}` }),
        ...(body !== undefined && { 'Content-Type': 'application/json' }),
        ...(etag !== undefined && { 'If-Match': etag }),
        // So that this page knows its own change when the feed tells of it.
        ...(method !== 'GET' && sseService.clientId && { 'Change-Feed-Client': sseService.clientId }),
      },
      ...(body !== undefined && { body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(ANSWER_MS),
    }).catch(() => {
      throw new ApiError(0);
    });
  const token = currentToken();
  let response = await send(token);
  if (response.status === 401) {
    const renewed = await anotherToken(token);
    if (renewed) response = await send(renewed);
  }
  if (response.ok) return response;
  const answer = (await response.json().catch(() => ({}))) as { error?: { message?: string } };
  const seconds = Number(response.headers.get('Retry-After') ?? Number.NaN);
  throw new ApiError(response.status, answer.error?.message, Number.isNaN(seconds) ? undefined : seconds * 1000);
}
