import { existsSync } from 'node:fs';
import { orExitWithSentence, runCommandLine } from 'pg-change-feed/server';
import { findEmbeddedPostgres } from '../embedded/embedded-postgres.js';
import { embeddedSecret } from '../embedded/secret.js';
import { readApplicationSettings } from './settings.js';
import { start } from './start.js';

// `npm start`, and `npm run feed -- COMMAND`: the commands of pg-change-feed on the database of the application.

if (existsSync('.env')) process.loadEnvFile('.env');
const [, , command] = process.argv;
await orExitWithSentence(async () => {
  if (command === undefined) return start();
  if (!process.env.DATABASE_URL) {
    const { dataDir, jwtSecret, jwksUrl } = readApplicationSettings();
    const embedded = await findEmbeddedPostgres(dataDir);
    if (embedded) process.env.DATABASE_URL = embedded.url;
    if (!jwtSecret && !jwksUrl) process.env.JWT_SECRET = await embeddedSecret(dataDir);
  }
  await runCommandLine(process.argv);
});
