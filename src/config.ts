import { z } from 'zod';
import { parseAddress } from './database/address.js';
import { OperatorError } from './operator-error.js';

/** Every setting of the server, validated. */
export interface Config {
  readonly port: number;
  readonly host: string;
  /** The database, as the application's writers reach it. */
  readonly databaseUrl: string | undefined;
  /** The direct address, for LISTEN and for reading the log, where `databaseUrl` goes through a pooler. */
  readonly listenDatabaseUrl: string | undefined;
  /** HS256 key; not beside `jwksUrl`. */
  readonly jwtSecret: string | undefined;
  /** The address of an identity provider's public keys, a JSON Web Key Set; not beside `jwtSecret`. */
  readonly jwksUrl: string | undefined;
  readonly jwtIssuer: string | undefined;
  readonly jwtAudience: string | undefined;
  /** The time for which a token is accepted after its end, in seconds, because clocks differ. */
  readonly jwtToleranceS: number;
  /** True accepts `?token=`, for EventSource, which can't send headers. */
  readonly queryToken: boolean;
  /** The topics that a token without the claim `resources` may receive. */
  readonly defaultResources: '*' | readonly string[];
  /** Origins that may call from other sites; none by default. */
  readonly corsOrigins: readonly string[];
  /** Open streams of this process, in all and of one subject. */
  readonly maxStreams: number;
  readonly maxStreamsPerSubject: number;
  /** Subscriptions of one stream. */
  readonly maxSubscriptions: number;
  /** Requests other than GET of one subject, per second. */
  readonly maxPostsPerS: number;
  /** Requests of one subject that run at once. */
  readonly maxRequestsPerSubject: number;
  /** The longest body, and the longest request line with its headers, in kB. */
  readonly maxBodyKb: number;
  readonly maxHeaderKb: number;
  /** Connections of this process, those without a stream among them. */
  readonly maxConnections: number;
  /** The longest time of a request's headers, and of the whole request, in seconds. */
  readonly headersTimeoutS: number;
  readonly requestTimeoutS: number;
  /** The time after which a client that does not read is disconnected, in ms. */
  readonly stallMs: number;
  /** True where there is a monitor, for tokens with the claim `monitor`. */
  readonly monitor: boolean;
  /** The token that opens `/metrics`. Absent: nobody may read it. */
  readonly metricsToken: string | undefined;
  readonly logLevel: 'debug' | 'info' | 'warn' | 'error' | 'silent';
  /** The time between two heartbeats of a stream, in seconds. */
  readonly heartbeatS: number;
  /** The time after which the server reads the log by the clock, and up to a quarter more, in ms; 0: never. */
  readonly readIntervalMs: number;
  /** The time that changes stay in the log, in seconds. */
  readonly logRetentionS: number;
  /** The largest number of changes in the log. */
  readonly logMaxRows: number;
}

const wholeNumber = (min: number, max: number) =>
  z
    .string()
    .regex(/^\d+$/, `expected a whole number from ${min} to ${max}`)
    .transform(Number)
    .refine((value) => value >= min && value <= max, `expected a whole number from ${min} to ${max}`);

const postgresUrl = z.string().transform((text, context) => {
  try {
    parseAddress(text, '');
    return text.trim();
  } catch (error) {
    // zod puts the variable's name before it.
    context.addIssue({ code: 'custom', message: (error as OperatorError).message.replace(/^: /, '') });
    return z.NEVER;
  }
});

const LOCAL_HOSTS = ['localhost', '127.0.0.1', '[::1]'];

/** An address over https, or on this machine: over plain HTTP an attacker could replace the keys and sign any token. */
const keysUrl = z.string().refine((text) => {
  if (!URL.canParse(text)) return false;
  const { protocol, hostname, username, password } = new URL(text);
  if (username || password) return false; // fetch takes none
  return protocol === 'https:' || (protocol === 'http:' && LOCAL_HOSTS.includes(hostname));
}, 'expected https://… without user and password; http:// only for localhost');

const names = z.string().transform((text) =>
  text
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== ''),
);

const UNITS: Readonly<Record<string, number>> = { s: 1, m: 60, min: 60, h: 3600, d: 86_400 };

/** Reads `90s`, `10m`, `10 min`, `24h` or `7 d`. @returns seconds. @throws {TypeError} saying what was expected. */
export function parseDuration(text: string): number {
  const [, amount, unit = ''] = /^([1-9]\d{0,6}) ?([a-z]+)$/.exec(text) ?? [];
  const seconds = UNITS[unit];
  if (!seconds) throw new TypeError('expected a duration such as 90s, 10min, 24h or 7d');
  return Number(amount) * seconds;
}

const duration = z.string().transform((text, context) => {
  try {
    return parseDuration(text);
  } catch (error) {
    context.addIssue({ code: 'custom', message: (error as TypeError).message });
    return z.NEVER;
  }
});

const schema = z.object({
  PORT: wholeNumber(0, 65_535).default(3000),
  HOST: z.string().default('localhost'),
  DATABASE_URL: postgresUrl.optional(),
  LISTEN_DATABASE_URL: postgresUrl.optional(),
  // RFC 7518, 3.2: a key of the same size as the hash output, or larger, must be used
  JWT_SECRET: z
    .string()
    .refine((secret) => Buffer.byteLength(secret) >= 32, 'expected at least 32 bytes: try `openssl rand -hex 32`')
    .optional(),
  JWKS_URL: keysUrl.optional(),
  JWT_ISSUER: z.string().optional(),
  JWT_AUDIENCE: z.string().optional(),
  JWT_TOLERANCE_S: wholeNumber(0, 600).default(5),
  QUERY_TOKEN: z.enum(['on', 'off'], 'expected on or off').default('on'),
  DEFAULT_RESOURCES: names.default(['*']),
  CORS_ORIGINS: names
    .refine(
      (origins) => origins.every((origin) => URL.canParse(origin) && new URL(origin).origin === origin),
      'expected origins such as https://app.example.org, separated by commas',
    )
    .default([]),
  MAX_STREAMS: wholeNumber(1, 1_000_000).default(20_000),
  MAX_STREAMS_PER_SUBJECT: wholeNumber(1, 1_000_000).default(100),
  MAX_SUBSCRIPTIONS: wholeNumber(1, 10_000).default(100),
  MAX_POSTS_PER_S: wholeNumber(1, 1_000_000).default(50),
  MAX_REQUESTS_PER_SUBJECT: wholeNumber(1, 100_000).default(20),
  MAX_BODY_KB: wholeNumber(1, 10_240).default(64),
  MAX_HEADER_KB: wholeNumber(4, 1024).default(16),
  MAX_CONNECTIONS: wholeNumber(10, 1_000_000).default(25_000),
  HEADERS_TIMEOUT_S: wholeNumber(1, 600).default(10),
  REQUEST_TIMEOUT_S: wholeNumber(1, 3600).default(30),
  STALL_S: wholeNumber(1, 3600).default(60),
  MONITOR: z.enum(['on', 'off'], 'expected on or off').default('off'),
  METRICS_TOKEN: z
    .string()
    .regex(/^[\w.~+/=-]{16,}$/, 'expected at least 16 letters, digits or -._~+/=: try `openssl rand -hex 32`')
    .optional(),
  LOG_LEVEL: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'], 'expected debug, info, warn, error or silent')
    .default('info'),
  HEARTBEAT_S: wholeNumber(1, 3600).default(30),
  READ_INTERVAL_MS: wholeNumber(0, 60_000).default(2000),
  LOG_RETENTION: duration.default(86_400),
  LOG_MAX_ROWS: wholeNumber(1000, 1_000_000_000).default(10_000_000),
});

/**
 * Reads the settings, the only place that does. An empty variable counts as not set.
 * @throws {OperatorError} naming each variable that is wrong, or two that contradict, and what was expected. Never shows its value: it may be a
 *   secret.
 */
export function readConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const set = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const result = schema.safeParse(set);
  if (!result.success) {
    throw new OperatorError(result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n'));
  }
  const settings = result.data;
  if (settings.JWT_SECRET && settings.JWKS_URL) {
    throw new OperatorError(
      'JWT_SECRET, JWKS_URL: expected one of the two, the key of your own tokens or those of others',
    );
  }
  if (settings.REQUEST_TIMEOUT_S < settings.HEADERS_TIMEOUT_S) {
    throw new OperatorError('REQUEST_TIMEOUT_S: expected at least HEADERS_TIMEOUT_S, for it covers the headers');
  }
  return {
    port: settings.PORT,
    host: settings.HOST,
    databaseUrl: settings.DATABASE_URL,
    listenDatabaseUrl: settings.LISTEN_DATABASE_URL,
    jwtSecret: settings.JWT_SECRET,
    jwksUrl: settings.JWKS_URL,
    jwtIssuer: settings.JWT_ISSUER,
    jwtAudience: settings.JWT_AUDIENCE,
    jwtToleranceS: settings.JWT_TOLERANCE_S,
    queryToken: settings.QUERY_TOKEN === 'on',
    defaultResources: settings.DEFAULT_RESOURCES.includes('*') ? '*' : settings.DEFAULT_RESOURCES,
    corsOrigins: settings.CORS_ORIGINS,
    maxStreams: settings.MAX_STREAMS,
    maxStreamsPerSubject: settings.MAX_STREAMS_PER_SUBJECT,
    maxSubscriptions: settings.MAX_SUBSCRIPTIONS,
    maxPostsPerS: settings.MAX_POSTS_PER_S,
    maxRequestsPerSubject: settings.MAX_REQUESTS_PER_SUBJECT,
    maxBodyKb: settings.MAX_BODY_KB,
    maxHeaderKb: settings.MAX_HEADER_KB,
    maxConnections: settings.MAX_CONNECTIONS,
    headersTimeoutS: settings.HEADERS_TIMEOUT_S,
    requestTimeoutS: settings.REQUEST_TIMEOUT_S,
    stallMs: settings.STALL_S * 1000,
    monitor: settings.MONITOR === 'on',
    metricsToken: settings.METRICS_TOKEN,
    logLevel: settings.LOG_LEVEL,
    heartbeatS: settings.HEARTBEAT_S,
    readIntervalMs: settings.READ_INTERVAL_MS,
    logRetentionS: settings.LOG_RETENTION,
    logMaxRows: settings.LOG_MAX_ROWS,
  };
}
