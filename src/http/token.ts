import { SignJWT } from 'jose';

/** The claims and the signature of a new token. */
export interface TokenClaims {
  /** The subject: 1 to 200 characters. */
  readonly sub: string;
  /** The seconds from now until it ends. */
  readonly expiresInS: number;
  /** The resources that it may receive. Absent: those of the server's DEFAULT_RESOURCES. */
  readonly resources?: readonly string[];
  /** True: it may use the monitor. */
  readonly monitor?: boolean;
  readonly secret: string;
  readonly issuer?: string | undefined;
  readonly audience?: string | undefined;
}

/** Signs a JWT with HS256. */
export async function signToken({
  sub,
  expiresInS,
  resources,
  monitor,
  secret,
  issuer,
  audience,
}: TokenClaims): Promise<string> {
  const now = Math.floor(Date.now() / 1000);
  const token = new SignJWT({ ...(resources && { resources }), ...(monitor && { monitor }) })
    .setProtectedHeader({ alg: 'HS256', typ: 'JWT' })
    .setSubject(sub)
    .setIssuedAt(now)
    .setExpirationTime(now + expiresInS);
  if (issuer) token.setIssuer(issuer);
  if (audience) token.setAudience(audience);
  return token.sign(new TextEncoder().encode(secret));
}
