import { startApplication } from '../app/server.js';
import { readConfig } from '../config.js';
import { createDatabase } from '../database/connection.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../database/embedded-postgres.js';
import { seed } from '../database/seed.js';
import { createLogger } from '../server/logger.js';
import { signToken } from '../server/token.js';
import { migrateDatabase } from './serve.js';
import { stopOnSignal } from './stop-on-signal.js';
import { keysOf } from './token.js';

/** The token that is printed holds for an hour. */
const TOKEN_S = 3600;

/** The migration that makes the last table which is seeded. */
const SEEDED_BY = '0003-anmeldung';

/**
 * Everything in one go: a database (an embedded one, unless DATABASE_URL names another), its schema, some events and
 * registrations the first time (in the embedded one only), the server, and what to do next.
 */
export async function dev(): Promise<void> {
  const config = readConfig();
  const keys = await keysOf(config);
  let postgres: EmbeddedPostgres | undefined;
  try {
    postgres = config.databaseUrl ? undefined : await startEmbeddedPostgres({ ...config, port: config.embeddedPort });
    const databaseUrl = config.databaseUrl ?? postgres?.url ?? '';
    const migrated = await migrateDatabase(databaseUrl);
    if (postgres && migrated.includes(SEEDED_BY)) await seedDatabase(databaseUrl);

    const tokenFor = async (sub: string) =>
      keys.jwtSecret
        ? signToken({
            sub,
            expiresInS: TOKEN_S,
            secret: keys.jwtSecret,
            issuer: config.jwtIssuer,
            audience: config.jwtAudience,
          })
        : 'TOKEN'; // the identity provider of JWKS_URL gives them out
    // Only over the embedded database: another one may hold more than the demo.
    const demoToken = postgres && keys.jwtSecret ? () => tokenFor('demo') : undefined;
    const server = await startApplication({
      ...config,
      ...keys,
      databaseUrl,
      logger: createLogger(config.logLevel),
      demoToken,
    });
    stopOnSignal(async () => {
      await server.stop();
      await postgres?.stop();
    });
    console.log(
      nextSteps(server.url, await tokenFor('entwicklung'), postgres ? psqlOf(postgres) : 'psql "$DATABASE_URL"'),
    );
  } catch (error) {
    await postgres?.stop();
    throw error;
  }
}

async function seedDatabase(databaseUrl: string): Promise<void> {
  const db = createDatabase(databaseUrl);
  try {
    await seed(db);
  } finally {
    await db.destroy();
  }
}

function psqlOf({ url, passFile }: EmbeddedPostgres): string {
  const { hostname, port, username, pathname } = new URL(url);
  return `PGPASSFILE=${quoted(passFile)} psql -h ${hostname} -p ${port} -U ${username} ${pathname.slice(1)}`;
}

/** A word for a shell that is pasted as it is. */
function quoted(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

function nextSteps(url: string, token: string, psql: string): string {
  return `
pg-change-feed is running.

  URL    ${url}
  psql   ${psql}

Open the URL in a browser, or hear every change in a terminal of its own (the token holds for an hour):

  curl -N '${url}/api/events?resources=*' -H 'Authorization: Bearer ${token}'

Then make one, in psql or without it:

  npm run sql -- "UPDATE veranstaltung SET ort = 'Lübeck' WHERE id = 1"

Ctrl-C stops everything.
`;
}
