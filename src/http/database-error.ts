import pg from 'pg';
import { HttpError } from './http-error.js';

const UNAVAILABLE = 'The database cannot be reached at the moment';

/** Node's and Postgres' codes for a database that is gone, full or stopping (57P0x), as a test of the whole code. */
const GONE = /^(ECONN(REFUSED|RESET|ABORTED)|EPIPE|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|57P0\d|53300|08\w{3})$/;

/** The messages of pg, without a code, for a connection that ends during a query or cannot be opened in time. */
const GONE_MESSAGE =
  /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered a connection error|Query read timeout)/;

/**
 * Makes the answer to an error of the database; undefined for other errors, and for our own mistakes.
 * Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
export function databaseError(error: unknown): HttpError | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  if (GONE.test(code) || GONE_MESSAGE.test(error.message)) return unavailable(UNAVAILABLE);
  if (!(error instanceof pg.DatabaseError)) return undefined;
  // FATAL: the connection could not be made, or has ended.
  if (error.severity === 'FATAL') return unavailable(UNAVAILABLE);
  switch (code) {
    case '23514':
      return new HttpError('bad_request', `The values contradict the rule ${error.constraint ?? ''}`.trim());
    case '23502':
      return new HttpError('bad_request', `${error.column ?? 'A field'}: expected a value`);
    case '23503':
      return new HttpError(
        'conflict',
        `The row that ${error.constraint ?? 'a foreign key'} points to does not exist, or is still needed`,
      );
    case '23505':
      return new HttpError('conflict', 'There is such a row already');
    case '40001':
    case '40P01':
    case '55P03':
      return unavailable('Another write was in the way');
    case '57014': // statement_timeout, of a role or a database
      return unavailable('The database took too long');
    case '25006': // read-only: the primary of before a failover
      return unavailable(UNAVAILABLE);
    default:
      return code.startsWith('22') ? new HttpError('bad_request', 'A value is out of range') : undefined;
  }
}

function unavailable(message: string): HttpError {
  return new HttpError('unavailable', message, { 'Retry-After': '1' });
}
