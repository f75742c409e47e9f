import type { Config } from '../config.js';
import { readConfig } from '../config.js';
import { OperatorError } from '../operator-error.js';
import { embeddedSecret } from '../server/secret.js';
import { signToken } from '../server/token.js';

/** What a token is made of. */
export interface TokenOptions {
  readonly sub: string;
  /** Seconds until it ends. */
  readonly expiresInS: number;
  /** What it may read; absent: what DEFAULT_RESOURCES says. */
  readonly resources?: readonly string[];
}

/** Prints a JWT, alone, for `TOKEN=$(pg-change-feed token --sub ada)`. */
export async function token(options: TokenOptions): Promise<void> {
  const config = readConfig();
  const { jwtSecret: secret } = await keysOf(config);
  if (!secret)
    throw new OperatorError('JWKS_URL: its identity provider signs the tokens, and there is no key for it here');
  console.log(await signToken({ ...options, secret, issuer: config.jwtIssuer, audience: config.jwtAudience }));
}

/**
 * JWT_SECRET or JWKS_URL, or else, in the embedded mode, the secret that is kept in DATA_DIR.
 * @throws {OperatorError} where there is none.
 */
export async function keysOf({
  jwtSecret,
  jwksUrl,
  databaseUrl,
  dataDir,
}: Config): Promise<{ readonly jwtSecret?: string; readonly jwksUrl?: string }> {
  if (jwksUrl) return { jwksUrl };
  if (jwtSecret) return { jwtSecret };
  if (databaseUrl) {
    throw new OperatorError(
      'JWT_SECRET: expected at least 32 bytes, the key that tokens are signed with: try `openssl rand -hex 32`; or set JWKS_URL',
    );
  }
  return { jwtSecret: await embeddedSecret(dataDir) };
}
