import { tokenOfTab } from './session.js';

/** The beginning of the monitor's answers: the page is at `…/monitor`, and they at `…/api/monitor/`. */
const API = new URL('api/monitor/', location.href);
/** The longest wait for an answer, in ms. The doctor may take half a minute. */
const PATIENCE_MS = 40_000;

/** The server has refused a request. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }

  /** True where somebody has to sign in, or to sign in as somebody else. */
  get isSignIn(): boolean {
    return this.status === 401 || this.status === 403;
  }
}

/** Opens the stream of the monitor. @throws {RefusedError} */
export function openEvents(signal: AbortSignal): Promise<Response> {
  return send('events', { signal });
}

/** Gets an answer. @throws {RefusedError} */
export async function get<Answer>(path: string): Promise<Answer> {
  return (await send(path, { signal: AbortSignal.timeout(PATIENCE_MS) })).json();
}

/** Sends an order. @throws {RefusedError} */
export async function post<Answer>(path: string, body: unknown): Promise<Answer> {
  const response = await send(path, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  return response.json();
}

async function send(path: string, request: RequestInit): Promise<Response> {
  const token = tokenOfTab();
  const headers = new Headers(request.headers);
  if (token) headers.set('Authorization', `Bearer ${token}`);
  const response = await fetch(new URL(path, API), { ...request, headers, cache: 'no-store' });
  if (response.ok) return response;
  const body = await response.json().catch(() => undefined);
  throw new RefusedError(response.status, body?.error?.message ?? response.statusText);
}

/** Makes a sentence of a failure. */
export function sentenceOf(error: unknown): string {
  if (error instanceof RefusedError) return `Der Server lehnt ab (${error.status}): ${error.message}`;
  return 'Der Server ist nicht erreichbar.';
}
