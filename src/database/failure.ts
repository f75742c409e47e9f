import { types } from 'node:util';
import pg from 'pg';
import { OperatorError } from '../operator-error.js';
import { parseAddress } from './address.js';
import { NotUnderstoodError } from './guarded-stream.js';

const CAUSES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOENT: 'there is no such socket',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of its host cannot be looked up',
  ETIMEDOUT: 'it does not answer',
  EHOSTUNREACH: 'its host cannot be reached',
  ENETUNREACH: 'its network cannot be reached',
  ECONNRESET: 'it ended the connection',
  EPIPE: 'it ended the connection',
  '28P01': 'it refuses the password',
  '28000': 'it refuses the user',
  '3D000': 'it has no such database',
  '53300': 'it has no connection left',
  '57P03': 'it is still starting, or stopping',
};

/** Faults of TLS, each with its cure: `VARIABLE` is where the address was written. */
const TLS_CAUSES: readonly (readonly [RegExp, string, string])[] = [
  [
    /^The server does not support SSL connections/,
    'it offers no TLS',
    'Switch TLS on there, or write sslmode=disable in VARIABLE, in a network that you trust.',
  ],
  [
    /SELF_SIGNED|UNABLE_TO_(VERIFY|GET)|CERT_UNTRUSTED/,
    'no authority that is known here has signed its certificate',
    'Write sslmode=verify-full&sslrootcert=/path/of/its/ca.crt in VARIABLE.',
  ],
  [/ALTNAME_INVALID/, 'its certificate is for another host', 'Write the host that its certificate names in VARIABLE.'],
  [/CERT_HAS_EXPIRED|CERT_NOT_YET_VALID/, 'its certificate is not valid now', 'Renew it, or look at the clock.'],
  [
    /valid client certificate/,
    'it asks for a certificate',
    'Write sslcert=/path/client.crt&sslkey=/path/client.key in VARIABLE.',
  ],
  [
    /pg_hba\.conf.*(no encryption|SSL off)/,
    'it has no entry in pg_hba.conf for this user, database and host without TLS',
    'Write sslmode=verify-full in VARIABLE, or add an entry.',
  ],
  [/pg_hba\.conf/, 'its pg_hba.conf refuses this user, database and host', 'Add an entry there, or check VARIABLE.'],
  [
    /^(ERR_SSL|ERR_TLS|EPROTO|ERR_OSSL)|There was an error establishing an SSL connection/,
    'TLS with it failed',
    'Check sslmode in VARIABLE.',
  ],
];

/** Messages of pg, without a code, for a connection that fails. */
const NO_CONNECTION = /^(Connection terminated|Client has encountered a connection error|Received unexpected)/;

/** Messages of pg for a server that does not speak as Postgres does, or asks for a way to sign in that pg does not know. */
const NOT_UNDERSTOOD = /^(received invalid response|SASL:|Unknown message)/i;

/** The message of pg for a way to sign in that it does not know, by its number in Postgres' protocol. */
const UNKNOWN_SIGN_IN = /^Unknown authenticationOk message type (\d+)/;
const SIGN_INS: Readonly<Record<string, string>> = { 2: 'Kerberos', 6: 'SCM', 7: 'GSSAPI', 9: 'SSPI' };

/** Characters of a server's message that a sentence shows. */
const MAX_MESSAGE = 300;

/**
 * Explains a failure of the database at start, with its cure, as an {@link OperatorError}; any other error as it
 * is. The address is shown without its password.
 * @param variable where the address was written. Default DATABASE_URL.
 */
export function databaseFailure(error: unknown, databaseUrl: string, variable?: string): unknown {
  if (error instanceof OperatorError || !types.isNativeError(error)) return error;
  const code = codeOf(error);
  const { text: where, options } = parseAddress(databaseUrl);
  const name = variable || 'DATABASE_URL';
  const unusable = (cause: string, cure = '') =>
    new OperatorError(`The database ${where} can't be used: ${cause}${cure}`);
  for (const [pattern, cause, cure] of TLS_CAUSES) {
    if (!pattern.test(code ?? '') && !pattern.test(error.message)) continue;
    return unusable(`${cause}${code ? ` (${code})` : ''}. `, cure.replace('VARIABLE', name));
  }
  // The words of PgBouncer and of an RDS Proxy for settings of a session, which they can't keep for one when they hand
  // their connections around.
  if (/unsupported startup parameter|command-line options/i.test(error.message)) return poolerFailure(where, options);
  const cause = code ? CAUSES[code] : undefined;
  if (cause) return unusable(`${cause} (${code}). `, `Check ${name}.`);
  if (code === '42501') {
    const hint = 'hint' in error && typeof error.hint === 'string' ? ` ${error.hint}.` : '';
    return new OperatorError(`The user of ${where} lacks a right: ${error.message}.${hint}`);
  }
  if ('severity' in error && error.severity === 'FATAL')
    return unusable(`${shown(error)} (${code ?? 'without a code'}).`);
  if (/timeout/i.test(error.message)) return unusable(`it does not answer (${error.message}).`);
  if (NO_CONNECTION.test(error.message))
    return unusable(`it ended the connection (${error.message}). `, `Check ${name}.`);
  const [, signIn] = UNKNOWN_SIGN_IN.exec(error.message) ?? [];
  if (signIn) {
    return unusable(
      `it asks for a way to sign in that is not supported (${SIGN_INS[signIn] ?? `number ${signIn}`}). `,
      'Give this user scram-sha-256 and a password in its pg_hba.conf.',
    );
  }
  const notUnderstood = error instanceof NotUnderstoodError || NOT_UNDERSTOOD.test(error.message);
  if (notUnderstood || (error instanceof pg.DatabaseError && !code))
    return unusable(`it does not answer as Postgres does (${shown(error)}). `, `Check ${name}.`);
  // A socket's error, of which Node has many
  if (code && !(error instanceof pg.DatabaseError)) return unusable(`${error.message} (${code}).`);
  return error;
}

/** One line of a message of any length. */
function shown({ message }: Error): string {
  return message.replace(/\s+/g, ' ').trim().slice(0, MAX_MESSAGE) || 'no reason given';
}

/**
 * Makes the error for a pooler before the connection that listens, with its cure.
 * @param address without a password. @param options that the address itself asks for.
 */
export function poolerFailure(address: string, options?: string): OperatorError {
  const more = options ? ', and leave options out of the address that leads through the pooler' : '';
  return new OperatorError(
    `A pooler stands before the database ${address}: set LISTEN_DATABASE_URL to the direct address of the same ` +
      `database${more}.`,
  );
}

/** The code of Node or of Postgres. Node gives an AggregateError, one error for each address of a host name. */
export function codeOf(error: Error): string | undefined {
  if ('code' in error && typeof error.code === 'string') return error.code;
  const [first] = 'errors' in error && Array.isArray(error.errors) ? (error.errors as unknown[]) : [];
  return types.isNativeError(first) ? codeOf(first) : undefined;
}
