import type { TokenReason } from 'pg-change-feed/client';
import { computed, shallowRef } from 'vue';
import { hasUnsaved } from '../form/unsaved.js';

// The session of the page's user: a JWT in localStorage, so that all tabs share it.

const TOKEN = 'jwt';
/** Set where the token is the demo's: then the page may fetch another by itself. */
const DEMO = 'jwt-demo';

const token = shallowRef(localStorage.getItem(TOKEN));

/** True while the server refuses the token, and there is no other: sign in again, in place. */
export const ended = shallowRef(false);

/** Tells whether there is a token, taken by the server or not. */
export const signedIn = computed(() => token.value !== null);

/** The subject of the token, for the page's head; the server checks the token. */
export const subject = computed(() => {
  try {
    const [, claims = ''] = (token.value ?? '').split('.');
    const bytes = Uint8Array.from(atob(claims.replaceAll('-', '+').replaceAll('_', '/')), (char) => char.charCodeAt(0));
    return String(JSON.parse(new TextDecoder().decode(bytes)).sub);
  } catch {
    return '';
  }
});

window.addEventListener('storage', ({ key }) => {
  if (key !== TOKEN && key !== null) return;
  const stored = localStorage.getItem(TOKEN);
  // Signed out in another tab: what was typed in this one must not go with it.
  if (stored === null && hasUnsaved()) ended.value = true;
  else take(stored);
});

function take(jwt: string | null): void {
  token.value = jwt;
  ended.value = false;
}

/** Signs in with a token. */
export function signIn(jwt: string): void {
  localStorage.setItem(TOKEN, jwt);
  localStorage.removeItem(DEMO);
  take(jwt);
}

/** Forgets the token. */
export function signOut(): void {
  localStorage.removeItem(TOKEN);
  localStorage.removeItem(DEMO);
  take(null);
}

/** Takes a token that was handed over as `#token=…`, and takes it out of the address and the history. @returns whether one was. */
export function takeTokenFromAddress(): boolean {
  const match = /^#token=([\w.-]+)$/.exec(location.hash);
  if (!match?.[1]) return false;
  history.replaceState(null, '', `${location.pathname}${location.search}#/`);
  signIn(match[1]);
  return true;
}

/** Tells whether the server has a demo sign-in. */
export async function hasDemo(): Promise<boolean> {
  const response = await fetch('/api/demo').catch(() => undefined);
  if (!response?.ok) return false;
  const { demo } = (await response.json()) as { demo: boolean };
  return demo;
}

/** Signs in with a token of the demo. @returns whether that worked. */
export async function signInToDemo(): Promise<boolean> {
  const response = await fetch('/api/demo/token', { method: 'POST' }).catch(() => undefined);
  if (!response?.ok) return false;
  const body = (await response.json()) as { token: string };
  signIn(body.token);
  localStorage.setItem(DEMO, '1');
  return true;
}

let renewal: Promise<boolean> | undefined;

/** The token that the feed has. */
let given: string | null = null;

/** Returns the token for the feed. One that has ended is replaced: see {@link anotherToken}. */
export async function getToken(reason: TokenReason): Promise<string | null> {
  given = reason === 'connect' ? token.value : await anotherToken(given);
  return given;
}

/** Returns the token for REST. */
export function currentToken(): string | null {
  return token.value;
}

/**
 * Finds a token in the place of one that the server refused: one with which somebody has signed in meanwhile, here or in
 * another tab, or another of the demo. Null where there is none: the page then asks to sign in again.
 */
export async function anotherToken(refused: string | null): Promise<string | null> {
  if (token.value !== null && token.value !== refused) return token.value;
  const stored = localStorage.getItem(TOKEN);
  if (stored !== null && stored !== token.value) {
    take(stored);
    return stored;
  }
  if (localStorage.getItem(DEMO)) {
    renewal ??= signInToDemo().finally(() => {
      renewal = undefined;
    });
    if (await renewal) return token.value;
  }
  ended.value = token.value !== null;
  return null;
}
