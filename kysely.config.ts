import { readdirSync } from 'node:fs';
import { defineConfig } from 'kysely-ctl';
import { createDatabase } from './src/app/database.js';
import { readApplicationSettings } from './src/app/settings.js';
import { findEmbeddedPostgres } from './src/embedded/embedded-postgres.js';

// For development: `npm run migrate -- list`, `up`, `down`, `make NAME`. The server uses the compiled files.
const { databaseUrl, dataDir } = readApplicationSettings();
const url = databaseUrl ?? (await findEmbeddedPostgres(dataDir))?.url;
if (!url) throw new Error('No embedded Postgres is running: start it with `npm start`, or set DATABASE_URL.');

export default defineConfig({
  kysely: createDatabase(url),
  migrations: {
    migrationFolder: 'migrations',
    getMigrationPrefix: () => `${String(readdirSync('migrations').length + 1).padStart(4, '0')}-`,
  },
});
