import { OperatorError } from '../operator-error.js';

const CAUSES: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'there is no such host',
  EAI_AGAIN: 'the name of its host cannot be looked up',
  ETIMEDOUT: 'it does not answer',
  EHOSTUNREACH: 'its host cannot be reached',
  ECONNRESET: 'it ended the connection',
  '28P01': 'it refuses the password',
  '28000': 'it refuses the user',
  '3D000': 'it has no such database',
  '53300': 'it has no connection left',
  '57P03': 'it is still starting, or stopping',
};

/**
 * What an operator can do about a failure of the database at start, as an {@link OperatorError}; any other error as it
 * is. The address is shown without its password.
 */
export function databaseFailure(error: unknown, databaseUrl: string): unknown {
  if (error instanceof OperatorError || !(error instanceof Error)) return error;
  const code = codeOf(error);
  const cause = code ? CAUSES[code] : undefined;
  const where = withoutPassword(databaseUrl);
  if (cause) return new OperatorError(`The database ${where} can't be used: ${cause} (${code}). Check DATABASE_URL.`);
  if (code === '42501') {
    const hint = 'hint' in error && typeof error.hint === 'string' ? ` ${error.hint}.` : '';
    return new OperatorError(`The user of ${where} lacks a right: ${error.message}.${hint}`);
  }
  // PgBouncer's words for settings of a session, which it can't keep for one when it hands its connections around.
  if (/unsupported startup parameter/.test(error.message)) return poolerFailure(where);
  if ('severity' in error && error.severity === 'FATAL') {
    return new OperatorError(`The database ${where} can't be used: ${error.message} (${code}).`);
  }
  if (/timeout/i.test(error.message)) {
    return new OperatorError(`The database ${where} can't be used: it does not answer (${error.message}).`);
  }
  return error;
}

/** What to do where a pooler stands before the connection that listens. @param address without a password. */
export function poolerFailure(address: string): OperatorError {
  return new OperatorError(
    `A pooler stands before the database ${address}: set LISTEN_DATABASE_URL to the direct address of the same database.`,
  );
}

/** The code of Node or of Postgres. Node gives an AggregateError, one error for each address of a host name. */
export function codeOf(error: Error): string | undefined {
  if ('code' in error && typeof error.code === 'string') return error.code;
  return error instanceof AggregateError && error.errors[0] instanceof Error ? codeOf(error.errors[0]) : undefined;
}

/** A database's address for messages and logs. */
export function withoutPassword(databaseUrl: string): string {
  const url = new URL(databaseUrl);
  url.password = '';
  url.search = '';
  return url.href;
}
