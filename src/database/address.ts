import pg from 'pg';
import { parse, toClientConfig } from 'pg-connection-string';
import { OperatorError } from '../operator-error.js';
import { guardedStream } from './guarded-stream.js';
import { asksForPassword, readsPasswordFile } from './password-file.js';

/** The form of an address. */
const EXAMPLE = 'postgres://user:password@host:port/database';

/** Characters of a URL that people forget to write in code. */
const CODES = 'write # as %23, / as %2F, ? as %3F, @ as %40 and % as %25 in its user and password';

/** Modes that pg 8 takes as verify-full and warns of, because its next major version will take them as psql does. */
const STRICT_MODES = ['prefer', 'require', 'verify-ca', 'verify-full'];
const SSL_MODES = [...STRICT_MODES, 'disable', 'no-verify'];

/** The session that a password is for. */
export interface SessionTarget {
  readonly host: string;
  readonly port: number;
  readonly user: string;
  readonly database: string;
}

/**
 * Finds the password of a new connection: a token of a cloud's IAM, or one that a vault rotates. It has the time that the
 * connection has, 5 s; an error counts as one of the connection.
 */
export type FindPassword = (target: SessionTarget) => string | Promise<string>;

/** A database's address, taken apart. */
export interface Address {
  /** For messages and logs: without the password. */
  readonly text: string;
  /** Host, port, user, database, password, TLS and the socket. Of all else that a URL may ask of pg nothing is taken. */
  readonly config: pg.ClientConfig;
  /** Settings that the address asks for: `-c search_path=app`. */
  readonly options: string | undefined;
  /** The name of its sessions, where the address has one. */
  readonly applicationName: string | undefined;
}

/**
 * Takes a database's address apart: `postgres://user:password@host:port/database?…`. What it leaves out comes from PGHOST,
 * PGPORT, PGUSER, PGPASSWORD, PGDATABASE and PGSSLMODE, the password also from PGPASSFILE. Space around it is ignored.
 * @param variable where it was written, for the sentence: `DATABASE_URL`.
 * @throws {OperatorError} one sentence that says what to write, and shows nothing of the address.
 */
export function parseAddress(given: string | undefined, variable = 'DATABASE_URL'): Address {
  const refuse = (sentence: string) => new OperatorError(`${variable}: ${sentence}`);
  // A file that holds a secret ends with a line break.
  const text = typeof given === 'string' ? given.trim() : '';
  if (/^[a-z_]+\s*=/i.test(text)) throw refuse(`expected ${EXAMPLE}, and got words such as host=… dbname=…`);
  const [, rest] = /^postgres(?:ql)?:\/\/(.*)$/is.exec(text) ?? [];
  // A URL parser leaves control characters out, and with them a part of the password.
  if (rest === undefined || /\p{Cc}/u.test(rest)) throw refuse(`expected ${EXAMPLE}`);
  const [, authority = '', path = '', query = ''] = /^([^/?]*)([^?]*)\??(.*)$/.exec(rest) ?? [];
  const parameters = new URLSearchParams(query);
  // Where a / or a ? of the password was taken for the end of the host, the @ comes after it.
  if (rest.includes('#') || path.includes('@') || [...parameters].some(isNone)) {
    throw refuse(`expected ${EXAMPLE}: ${CODES}`);
  }
  for (const name of ['service', 'hostaddr', 'passfile']) {
    if (parameters.has(name)) throw refuse(`${name} is not read: write ${EXAMPLE}`);
  }

  const at = authority.lastIndexOf('@');
  const [, host = '', port] = /^(.*?)(?::([^:\]]*))?$/.exec(authority.slice(at + 1)) ?? [];
  const hosts = parameters.get('host') || host || process.env.PGHOST || '';
  const ports = parameters.get('port') || port || process.env.PGPORT || '5432';
  if (`${hosts}${host}${ports}`.includes(',')) {
    throw refuse('expected one host: write that of the primary, or a name that follows it');
  }
  if (!/^\d{1,5}$/.test(ports) || Number(ports) < 1 || Number(ports) > 65_535) {
    throw refuse(`expected ${EXAMPLE}, with a port from 1 to 65535`);
  }
  parameters.set('port', ports);
  demandTls(parameters, refuse);

  const user = at < 0 ? '' : `${encode(authority.slice(0, at)).replaceAll('@', '%40')}@`;
  const url = `postgres://${user}${encode(host)}/?${parameters}`;
  try {
    return addressOf(url, parameters.get('dbname') || decodeURIComponent(encode(path.slice(1))));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code?.startsWith('E') && !code.startsWith('ERR_')) {
      throw refuse(`the file of sslrootcert, sslcert or sslkey can't be read (${code})`);
    }
    if (/verify-ca requires/.test((error as Error).message)) throw refuse('sslmode=verify-ca needs sslrootcert=/path');
    throw refuse(`expected ${EXAMPLE}: ${CODES}`);
  }
}

/**
 * Makes the options with which a session connects, for pg.Client, pg.Pool and pg-listen alike.
 * @param session its application_name, settings that go before those which the address asks for, and where its password
 *   comes from; default: the address, PGPASSWORD or PGPASSFILE.
 * @throws {OperatorError} as {@link parseAddress} does.
 */
export function sessionTo(
  databaseUrl: string,
  {
    name,
    options,
    password,
  }: { readonly name: string; readonly options?: string; readonly password?: FindPassword | undefined },
): pg.ClientConfig {
  const address = parseAddress(databaseUrl);
  // Of several Postgres takes the last.
  const settings = [address.options, options].filter(Boolean).join(' ');
  const { host = '', port = 0, user = '', database = '' } = address.config;
  return {
    ...address.config,
    application_name: name,
    ...(settings && { options: settings }),
    ...(password && { password: asksForPassword(async () => password({ host, port, user, database })) }),
  };
}

/** A database's address for messages and logs. */
export function withoutPassword(databaseUrl: string): string {
  return parseAddress(databaseUrl).text;
}

/** Tells whether what looks like a parameter of the URL is likely a piece of the password, with the host after it. */
function isNone([name, value]: [string, string]): boolean {
  const mayHoldAt = ['user', 'password', 'options', 'application_name'].includes(name);
  return !/^[\w.-]+$/.test(name) || (value.includes('@') && !mayHoldAt);
}

/** Returns the address that pg makes of a URL, with the parts that it would take from the environment. */
function addressOf(url: string, database: string): Address {
  const { host, port, user, password, ssl, sslnegotiation, options, application_name } = toClientConfig(parse(url));
  const target = {
    host: host || process.env.PGHOST || 'localhost',
    port: Number(port),
    user: user || process.env.PGUSER || pg.defaults.user || '',
    database: database || process.env.PGDATABASE || user || process.env.PGUSER || pg.defaults.user || '',
  };
  const text = textOf(target);
  return {
    text,
    config: {
      ...target,
      stream: guardedStream,
      password: password || process.env.PGPASSWORD || readsPasswordFile(target, text),
      ...(ssl !== undefined && { ssl }),
      ...(sslnegotiation !== undefined && { sslnegotiation }),
    },
    options,
    applicationName: application_name,
  };
}

function textOf({
  host,
  port,
  user,
  database,
}: {
  host: string;
  port: number;
  user: string;
  database: string;
}): string {
  const name = `${encodeURIComponent(user)}@`;
  const where = `/${encodeURIComponent(database)}`;
  if (host.startsWith('/')) return `postgres://${name}${where}?host=${host}&port=${port}`;
  return `postgres://${name}${host.includes(':') ? `[${host}]` : host}:${port}${where}`;
}

/** Percent-encodes what a URL cannot contain: a % that begins no code, and a space. */
function encode(part: string): string {
  return part.replace(/%(?![\da-f]{2})/gi, '%25').replaceAll(' ', '%20');
}

/** Checks the parameters of TLS, and rewrites them to those that pg will keep. */
function demandTls(parameters: URLSearchParams, refuse: (sentence: string) => OperatorError): void {
  const mode = parameters.get('sslmode');
  if (mode !== null && !SSL_MODES.includes(mode)) throw refuse(`sslmode: expected one of ${SSL_MODES.join(', ')}`);
  const asPsql = parameters.get('uselibpqcompat') === 'true';
  if (mode !== null && !asPsql && STRICT_MODES.includes(mode)) parameters.set('sslmode', 'verify-full');
  const ssl = parameters.get('ssl');
  if (ssl === 'false') parameters.set('ssl', '0');
  else if (ssl === 'no-verify') {
    // The library that parses the address would take it for nothing, and connect without TLS.
    parameters.delete('ssl');
    if (mode === null) parameters.set('sslmode', ssl);
  } else if (ssl !== null && !['true', '1', '0'].includes(ssl)) throw refuse('ssl: expected true or false');
  const negotiation = parameters.get('sslnegotiation');
  if (negotiation !== null && !['postgres', 'direct'].includes(negotiation)) {
    throw refuse('sslnegotiation: expected postgres or direct');
  }
}
