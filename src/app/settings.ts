import { OperatorError } from 'pg-change-feed';
import { type Config, readConfig } from 'pg-change-feed/server';
import { z } from 'zod';

/** The settings of the application: those of the feed's server, and its own. */
export interface ApplicationSettings extends Config {
  /** TCP port of the embedded Postgres on 127.0.0.1; 0: any free one. Default 54,329. */
  readonly embeddedPort: number;
  /** The folder of the embedded Postgres: its data, its log and its secrets. Default `.data`. */
  readonly dataDir: string;
  /** The time that the database may take for an answer to REST, in ms. Default 5000. */
  readonly queryTimeoutMs: number;
  /** The same for a statement of a write, in ms. Default 30,000. */
  readonly writeTimeoutMs: number;
}

const wholeNumber = (min: number, max: number, otherwise: number) =>
  z.coerce
    .number(`expected a whole number from ${min} to ${max}`)
    .int(`expected a whole number from ${min} to ${max}`)
    .min(min, `expected a whole number from ${min} to ${max}`)
    .max(max, `expected a whole number from ${min} to ${max}`)
    .default(otherwise);

const schema = z.object({
  EMBEDDED_PORT: wholeNumber(0, 65_535, 54_329),
  DATA_DIR: z.string().default('.data'),
  QUERY_TIMEOUT_S: wholeNumber(1, 3600, 5),
  WRITE_TIMEOUT_S: wholeNumber(1, 3600, 30),
});

/**
 * Reads the settings of the application and of the feed's server. An empty variable counts as not set.
 * @throws {OperatorError} naming each variable that is wrong, and what was expected.
 */
export function readApplicationSettings(env: NodeJS.ProcessEnv = process.env): ApplicationSettings {
  const config = readConfig(env);
  const result = schema.safeParse(Object.fromEntries(Object.entries(env).filter(([, value]) => value)));
  if (!result.success) {
    throw new OperatorError(result.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`).join('\n'));
  }
  const { EMBEDDED_PORT, DATA_DIR, QUERY_TIMEOUT_S, WRITE_TIMEOUT_S } = result.data;
  return {
    ...config,
    embeddedPort: EMBEDDED_PORT,
    dataDir: DATA_DIR,
    queryTimeoutMs: QUERY_TIMEOUT_S * 1000,
    writeTimeoutMs: WRITE_TIMEOUT_S * 1000,
  };
}
