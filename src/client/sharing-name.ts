import type { Settings } from './options.js';

/** The version of what tabs say to each other: tabs of an older page go their own way. */
const PROTOCOL = 1;

/**
 * The name under which tabs share a stream: the same for the same server, person and rights. Undefined where nobody knows
 * whose rights they are: then each tab has its own stream.
 */
export async function sharingName({ url, getToken, identity }: Settings): Promise<string | undefined> {
  const who = identity ?? (getToken === null ? undefined : claimsOf(await getToken('connect')));
  if (who === undefined || who === '') return undefined;
  return `change-feed ${JSON.stringify([PROTOCOL, new URL(url, location.href).href, who])}`;
}

/** What a token says of who it is for and what they may read; undefined where it cannot be read. */
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
