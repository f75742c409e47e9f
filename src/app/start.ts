import { createLogger, databaseFailure, keysOf, signToken, stopOnSignal } from 'pg-change-feed/server';
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../embedded/embedded-postgres.js';
import { embeddedSecret } from '../embedded/secret.js';
import { createDatabase } from './database.js';
import { migrateApplication } from './migrate.js';
import { seed } from './seed.js';
import { startApplication } from './server.js';
import { readApplicationSettings } from './settings.js';

/** The token that is printed holds for an hour. */
const TOKEN_S = 3600;

/** The migration that makes the last table which is seeded. */
const SEEDED_BY = '0003-anmeldung';

/**
 * Everything in one go: a database (an embedded one, unless DATABASE_URL names another), its schema, some events and
 * registrations the first time (in the embedded one only), the server, and what to do next.
 */
export async function start(): Promise<void> {
  const settings = readApplicationSettings();
  const keys =
    settings.databaseUrl || settings.jwtSecret || settings.jwksUrl
      ? keysOf(settings)
      : { jwtSecret: await embeddedSecret(settings.dataDir) };
  let postgres: EmbeddedPostgres | undefined;
  try {
    postgres = settings.databaseUrl
      ? undefined
      : await startEmbeddedPostgres({ ...settings, port: settings.embeddedPort });
    const databaseUrl = settings.databaseUrl ?? postgres?.url ?? '';
    await prepare(databaseUrl, postgres !== undefined);

    const tokenFor = async (sub: string) =>
      keys.jwtSecret
        ? signToken({
            sub,
            expiresInS: TOKEN_S,
            secret: keys.jwtSecret,
            issuer: settings.jwtIssuer,
            audience: settings.jwtAudience,
          })
        : 'TOKEN'; // the identity provider of JWKS_URL gives them out
    // Only over the embedded database: another one may hold more than the demo.
    const demoToken = postgres && keys.jwtSecret ? () => tokenFor('demo') : undefined;
    const server = await startApplication({
      ...settings,
      ...keys,
      databaseUrl,
      logger: createLogger(settings.logLevel),
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

/** Makes the tables, and some rows the first time in the embedded database. @throws {OperatorError} */
async function prepare(databaseUrl: string, embedded: boolean): Promise<void> {
  const db = createDatabase(databaseUrl);
  try {
    const migrated = await migrateApplication(db);
    if (embedded && migrated.includes(SEEDED_BY)) await seed(db);
  } catch (error) {
    throw databaseFailure(error, databaseUrl);
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
