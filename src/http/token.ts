import { SignJWT } from 'jose';

/** What a token says. */
export interface TokenClaims {
  /** Who it is for: 1 to 200 characters. */
  readonly sub: string;
  /** Seconds from now until it ends. */
  readonly expiresInS: number;
  /** What it may read; absent: what the server's DEFAULT_RESOURCES says. */
  readonly resources?: readonly string[];
  readonly secret: string;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
}

/** Signs a JWT with HS256. */
export async function signToken({
  sub,
  expiresInS,
  resources,
  secret,
  issuer,
  audience,
}: TokenClaims): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const token = new SignJWT(resources ? { resources } : {})
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(sub)
    .setIssuedAt(now)
    .setExpirationTime(now + expiresInS);
  if (issuer) token.setIssuer(issuer);
  if (audience) token.setAudience(audience);
  return token.sign(new TextEncoder().encode(secret));
}
