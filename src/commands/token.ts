import { type Config, readConfig } from '../config.js';
import { signToken } from '../http/token.js';
import { OperatorError } from '../operator-error.js';

/** Options of a new token. */
export interface TokenOptions {
  readonly sub: string;
  /** Seconds until it ends. */
  readonly expiresInS: number;
  /** The resources that it may receive; absent: what DEFAULT_RESOURCES says. */
  readonly resources?: readonly string[];
  /** True: it may use the monitor. */
  readonly monitor?: boolean;
}

/** Prints a JWT, alone, for `TOKEN=$(pg-change-feed token --sub ada)`. */
export async function token(options: TokenOptions): Promise<void> {
  const config = readConfig();
  const { jwtSecret: secret } = keysOf(config);
  if (!secret)
    throw new OperatorError('JWKS_URL: its identity provider signs the tokens, and there is no key for it here');
  console.log(await signToken({ ...options, secret, issuer: config.jwtIssuer, audience: config.jwtAudience }));
}

/**
 * Returns the one of JWT_SECRET and JWKS_URL that is set.
 * @throws {OperatorError} where neither is.
 */
export function keysOf({ jwtSecret, jwksUrl }: Config): { readonly jwtSecret?: string; readonly jwksUrl?: string } {
  if (jwksUrl) return { jwksUrl };
  if (jwtSecret) return { jwtSecret };
  throw new OperatorError(
    'JWT_SECRET: expected at least 32 bytes, the key that tokens are signed with: try `openssl rand -hex 32`; or set JWKS_URL',
  );
}
