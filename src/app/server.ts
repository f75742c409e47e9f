import type { Kysely } from 'kysely';
import { atMost, FailureLog, type RunningServer, type ServerOptions, startServer } from 'pg-change-feed/server';
import { createDatabase } from './database.js';
import { demoRoutes } from './demo-routes.js';
import { anmeldungRoutes } from './rest/anmeldung.js';
import type { ApiOptions } from './rest/resource-routes.js';
import { veranstaltungRoutes } from './rest/veranstaltung.js';
import type { Database } from './tables.js';
import { webRoutes } from './web-routes.js';

/** Options of the application: the settings of the feed's server, and its own. */
export interface ApplicationOptions extends Omit<ServerOptions, 'routes'> {
  /** The time that the database may take for an answer to REST, in ms; then it is 503. Default 5000. */
  readonly queryTimeoutMs?: number;
  /** The same within a write, in ms. Default 30,000. */
  readonly writeTimeoutMs?: number;
  /** Makes tokens for the demo sign-in; there is none unless given. */
  readonly demoToken?: (() => Promise<string>) | undefined;
}

/** The application while it runs. */
export interface RunningApplication extends RunningServer {
  readonly db: Kysely<Database>;
}

/** The time that queries under way may take when the application stops, in ms. */
const LAST_QUERIES_MS = 2000;

/**
 * Starts the registration system: the feed's server, with REST for the two tables and the pages.
 * @throws {OperatorError} when the database or the port can't be used, in one sentence.
 */
export async function startApplication(options: ApplicationOptions): Promise<RunningApplication> {
  const { databaseUrl, logger, demoToken, queryTimeoutMs = 5000, writeTimeoutMs = 30_000 } = options;
  const failures = new FailureLog(logger);
  const onError = (error: Error) => failures.happened('a connection to the database broke', error);
  const db = createDatabase(databaseUrl, onError, { queryMs: queryTimeoutMs, writeMs: writeTimeoutMs });
  try {
    const server = await startServer({
      ...options,
      routes: ({ feed, authorize, subjectOf }) => {
        const api: ApiOptions = {
          db,
          position: () => feed.currentPosition(),
          refetchStateOf: (resource) => feed.streams.refetchSpread.stateOf(resource),
          onChange: (resource, listener) => {
            feed.changes.listen({
              onChanges: (changes) => {
                if (changes.some((change) => change.resource === resource)) listener();
              },
              onLost: listener,
            });
          },
          authorize,
          actorOf: subjectOf,
        };
        return {
          open: [webRoutes(), demoRoutes(demoToken)],
          authenticated: [veranstaltungRoutes(api), anmeldungRoutes(api)],
        };
      },
    });
    const stop = async () => {
      await server.stop();
      await atMost(LAST_QUERIES_MS, db.destroy());
    };
    return { ...server, db, stop };
  } catch (error) {
    await db.destroy();
    throw error;
  }
}
