import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { createRawDatabase, databaseUrl, runAsAdmin } from './test-database.js';

/** An empty database whose owner is no superuser, as a migration tool finds it. */
export interface OwnedDatabase {
  /** Its address, for its owner. */
  readonly url: string;
  /** A session of its owner, named psql. */
  readonly psql: pg.Client;
  /** An empty folder, for the tool's files. */
  readonly folder: string;
  /** Tells whether the schema change_feed is there. */
  isInstalled(): Promise<boolean>;
  /** The change as the log has it: resource, operation, keys, and application, client and actor of the origin. */
  changes(): Promise<unknown[][]>;
  drop(): Promise<void>;
}

/** Makes the database, its owner, who is a member of change_feed_owner, and the folder. */
export async function createOwnedDatabase(tool: string): Promise<OwnedDatabase> {
  const name = `${tool}_${process.pid}`;
  await runAsAdmin(`create role ${name} login password '${name}' in role change_feed_owner`);
  await createRawDatabase(name, `owner ${name}`);
  const url = new URL(databaseUrl(name));
  url.username = name;
  url.password = name;
  const psql = new pg.Client({ connectionString: url.href, application_name: 'psql' });
  await psql.connect();
  const folder = await mkdtemp(join(tmpdir(), `${tool}-`));
  return {
    url: url.href,
    psql,
    folder,
    isInstalled: async () =>
      (await psql.query(`select from pg_namespace where nspname = 'change_feed'`)).rowCount === 1,
    changes: async () => {
      const { rows } = await psql.query('select resource, keys, details from change_feed.change order by xid, lsn');
      return rows.map(({ resource, keys, details: [operation, application, actor, client] }) => [
        resource,
        operation,
        keys,
        application,
        client ?? '',
        actor ?? '',
      ]);
    },
    drop: async () => {
      await psql.end();
      await rm(folder, { recursive: true });
      await runAsAdmin(`drop database ${name} with (force)`);
      await runAsAdmin(`drop role ${name}`);
    },
  };
}
