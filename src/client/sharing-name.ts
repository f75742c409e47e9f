import type { Settings } from './options.js';

/** The version of the messages between tabs: tabs of an older page do not share with newer ones. */
const PROTOCOL = 1;

/**
 * Returns the name under which tabs share a stream: the same for the same server, person and rights. Undefined where the
 * person is not known: then each tab has its own stream.
 */
export async function sharingName({ url, getToken, identity }: Settings): Promise<string | undefined> {
  const who = identity ?? (getToken === null ? undefined : claimsOf(await getToken('connect')));
  if (who === undefined || who === '') return undefined;
  return `change-feed ${JSON.stringify([PROTOCOL, new URL(url, location.href).href, who])}`;
}

/** Returns the claims of a token about its person and rights; undefined where it cannot be read. */
function claimsOf(token: string | null | undefined): readonly unknown[] | undefined {
  try {
    const payload = (token ?? '').split('.')[1] ?? '';
    const bytes = Uint8Array.from(atob(payload.replaceAll('-', '+').replaceAll('_', '/')), (char) =>
      char.charCodeAt(0),
    );
    const claims = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    // Everything but the times and the name of the token: any other claim may be a right.
    const { exp, iat, nbf, jti, ...rest } = claims;
    return typeof rest.sub === 'string' ? Object.entries(rest).sort(([a], [b]) => (a < b ? -1 : 1)) : undefined;
  } catch {
    return undefined;
  }
}
