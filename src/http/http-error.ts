/** The codes of errors that clients get, each with its HTTP status. */
export const STATUS_OF_CODE = {
  bad_request: 400,
  unauthorized: 401,
  forbidden: 403,
  revoked: 403,
  not_found: 404,
  method_not_allowed: 405,
  conflict: 409,
  precondition_failed: 412,
  payload_too_large: 413,
  unsupported_media_type: 415,
  too_many_requests: 429,
  internal: 500,
  unavailable: 503,
} as const;

export type ErrorCode = keyof typeof STATUS_OF_CODE;

/**
 * Refuses a request: the client receives `{"error":{"code","message"}}`.
 * The message is for the client: it never holds text of the database, of a library, or of a token.
 */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly code: ErrorCode;
  readonly status: number;
  /** Headers of the answer: `Retry-After`, `Allow`, `WWW-Authenticate`. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: ErrorCode, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message);
    this.code = code;
    this.status = STATUS_OF_CODE[code];
    this.headers = headers;
  }
}

/** Makes the error of what a server that stops does not begin any more: the next one takes it. */
export function stopsError(): HttpError {
  return new HttpError('unavailable', 'The server stops', { 'Retry-After': '1' });
}
