import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { packageRoot } from '../../src/package-root.js';
import { createRawDatabase, databaseUrl, runAsAdmin } from '../test-database.js';
import { folderWith, install, pack } from './packed.js';

const run = promisify(execFile);
const TOOLS = join(packageRoot, 'node_modules', '.bin');
/** What an application writes; `// @ts-expect-error` shows that these are types, and not `any`. */
const CONSUMER = `
import type Router from '@koa/router';
import { type Change, createChangeFeed, createEmitter, migrateChangeFeed, watch } from 'pg-change-feed';
import { changeFeedRoutes } from 'pg-change-feed/koa';
import { createServer } from 'node:http';
import { Kysely } from 'kysely';
import { SSEService } from 'pg-change-feed/client';
const feed = createChangeFeed({ databaseUrl: 'postgres://localhost/app' });
const router: Router = changeFeedRoutes(feed, {
  caller: (ctx) => ({ subject: ctx.state.user.sub, rights: (resource) => resource === 'kunde' }),
});
feed.changes.listen({ onChanges: (changes: readonly Change[]) => console.log(changes.length), onLost: () => {} });
declare const db: Kysely<{ kunde: { id: number } }>;
await migrateChangeFeed(db);
await watch(db, 'kunde');
await createEmitter(db, feed.logger).emitTableUpdate('bericht');
new SSEService({ getToken: async () => 'token' }).on('kunde', (change) => console.log(change.operation));
// @ts-expect-error
new SSEService({ getToken: 7 });
// @ts-expect-error
createChangeFeed({});
changeFeedRoutes(feed, { claimsOf: (ctx) => ctx.state.user, authorize: ({ sub }, resource) => sub === resource });
// @ts-expect-error
changeFeedRoutes(feed, { caller: () => ({ subject: 7, rights: '*' }) });
// @ts-expect-error
changeFeedRoutes(feed, { claimsOf: (ctx) => ctx.state.user, authorize: async () => true });
const handle = feed.handler({ caller: ({ headers }) => ({ subject: String(headers['x-key']), rights: ['kunde'] }) });
createServer(async (request, response) => void ((await handle(request, response)) || response.end()));
const response: Promise<Response> = feed.respond(new Request('http://localhost/api/events'));
// @ts-expect-error
feed.handler({});
// @ts-expect-error
const wrong: number = router.routes;
`;

const names: string[] = [];
let folder: string;
let app: string;
let tarball: string;
let files: readonly string[];

/** Packs what `npm run build` made, and installs it where the example says `pg-change-feed`. */
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pg-change-feed-package-'));
  app = join(folder, 'koa-app');
  ({ tarball, files } = await pack(folder));
  await cp(join(packageRoot, 'examples', 'koa-app'), app, { recursive: true });
  const manifest = JSON.parse(await readFile(join(app, 'package.json'), 'utf8'));
  manifest.dependencies['pg-change-feed'] = `file:${tarball}`;
  await writeFile(join(app, 'package.json'), JSON.stringify(manifest));
  await install(app);
});

afterAll(async () => {
  for (const name of names) await runAsAdmin(`drop database if exists ${name} with (force)`);
  await rm(folder, { recursive: true, force: true });
});

/** A database with nothing in it. */
async function emptyDatabase(): Promise<string> {
  const name = `package_${randomBytes(6).toString('hex')}`;
  await createRawDatabase(name);
  names.push(name);
  return databaseUrl(name);
}

async function query(url: string, text: string): Promise<unknown[][]> {
  const client = new pg.Client({ connectionString: url, application_name: 'psql' });
  await client.connect();
  try {
    return (await client.query({ text, rowMode: 'array' })).rows;
  } finally {
    await client.end();
  }
}

const command = (url: string, ...args: string[]) =>
  run(join(app, 'node_modules', '.bin', 'pg-change-feed'), args, {
    cwd: app,
    env: { ...process.env, DATABASE_URL: url },
  });
const tables = (url: string) =>
  query(
    url,
    `select schemaname || '.' || tablename from pg_tables where schemaname in ('public', 'change_feed') order by 1`,
  );
const schemaOf = (url: string) =>
  query(
    url,
    `select pg_describe_object(classid, objid, objsubid), pg_get_functiondef(p.oid)
      from pg_depend left join pg_proc p on classid = 'pg_proc'::regclass and p.oid = objid
      where refclassid = 'pg_namespace'::regclass and refobjid = 'change_feed'::regnamespace order by 1`,
  );

test('it holds what is needed to run, and nothing else', () => {
  const allowed = /^(dist\/src\/.*|(sql|docs|ops)\/.*|\.env\.example|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/;
  const foreign = /^dist\/src\/(app|embedded)\/|veranstaltung.*\.(js|ts)$|embedded/;
  expect(files.filter((file) => !allowed.test(file) || foreign.test(file))).toEqual([]);
  expect(files).toEqual(expect.arrayContaining(['dist/src/cli.js', 'dist/src/index.d.ts', 'sql/001-log.sql']));
});

test('publint finds nothing', async () => {
  const { stdout } = await run(join(TOOLS, 'publint'), [tarball, '--strict']);
  expect(stdout).toContain('All good!');
});

test('attw finds nothing, for those who import ES modules', async () => {
  // It exits with 1 for any problem outside of what the profile leaves out: require(), and node10, which knows no exports.
  const { stdout } = await run(join(TOOLS, 'attw'), [tarball, '--profile', 'esm-only']);
  expect(stdout).toMatch(/bundler.*🟢/);
});

describe.each([
  ['nodenext', 'nodenext'],
  ['esnext', 'bundler'],
])('types under module %s, moduleResolution %s', (module, moduleResolution) => {
  test('resolve, also those of its dependencies, and say what is wrong', async () => {
    await writeFile(join(app, 'consumer.ts'), CONSUMER);
    const compilerOptions = { module, moduleResolution, target: 'es2022', strict: true, noEmit: true, types: ['node'] };
    const project = join(app, `tsconfig.${moduleResolution}.json`);
    await writeFile(project, JSON.stringify({ compilerOptions, files: ['consumer.ts'] }));
    const compiled = await run(join(TOOLS, 'tsc'), ['-p', project]).catch((error) => error);
    expect(compiled.stdout).toBe('');
  });
});

test('the browser client runs without Vue, and asks for nothing that is not installed', async () => {
  const script = `import { SSEService } from 'pg-change-feed/client'; console.log(new SSEService({}).status)`;
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: app });
  expect(stdout).toBe('idle\n');
});

test('migrate makes the schema change_feed, the same as the files of sql/, and nothing else', async () => {
  const [one, other] = [await emptyDatabase(), await emptyDatabase()];
  expect((await command(one, 'migrate')).stdout).toMatch(/^Migrated: 000-schema\.sql, 001-log\.sql, /);
  expect((await command(one, 'migrate')).stdout).toBe('The schema is the newest already.\n');
  const made = (await tables(one)).flat() as string[];
  expect(made.filter((name) => !name.startsWith('change_feed.'))).toEqual([]);
  expect(made).toContain('change_feed.change');
  for (const file of files.filter((name) => /^sql\/\d.*\.sql$/.test(name)).sort()) {
    await query(other, await readFile(join(app, 'node_modules/pg-change-feed', file), 'utf8'));
  }
  expect(await schemaOf(other)).toEqual(await schemaOf(one));
});

describe('the package of the browser client', () => {
  let page: string;

  beforeAll(async () => {
    page = join(folder, 'page');
    const packed = await pack(folder, './dist/client-package');
    await folderWith(page, { 'pg-change-feed-client': `file:${packed.tarball}` });
  });

  test('installs neither Koa nor pg', async () => {
    expect((await readdir(join(page, 'node_modules'))).filter((name) => !name.startsWith('.'))).toEqual([
      'pg-change-feed-client',
    ]);
  });

  test('runs', async () => {
    const script = `import { SSEService } from 'pg-change-feed-client'; console.log(new SSEService({}).status)`;
    const { stdout } = await run(process.execPath, ['--input-type=module', '-e', script], { cwd: page });
    expect(stdout).toBe('idle\n');
  });
});

test('source maps lead to the sources', async () => {
  const maps = files.filter((file) => file.endsWith('.js.map'));
  expect(maps).toContain('dist/src/index.js.map');
  for (const file of maps) {
    const { sources, sourcesContent = [] } = JSON.parse(
      await readFile(join(app, 'node_modules/pg-change-feed', file), 'utf8'),
    );
    expect({ file, missing: sources.filter((_: string, i: number) => !sourcesContent[i]) }).toEqual({
      file,
      missing: [],
    });
  }
});
