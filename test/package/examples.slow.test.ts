import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import pg from 'pg';
import { signToken } from '../../src/http/token.js';
import { packageRoot } from '../../src/package-root.js';
import { openStream } from '../event-stream.js';
import { freePort } from '../free-port.js';
import { createRawDatabase, databaseUrl, runAsAdmin } from '../test-database.js';
import { until } from '../until.js';
import { install, pack } from './packed.js';

// Each example of examples/, installed from the packed tarball as a stranger would.

const run = promisify(execFile);
const SECRET = 'a secret of the examples, long enough for HS256';
const EXAMPLES = join(packageRoot, 'examples');

/** The headers by which a client of each example signs in, made after the example runs. */
const SIGN_IN: Readonly<Record<string, (url: string) => Promise<Record<string, string>>>> = {
  'express-app': async (url) => {
    const login = (password: string) =>
      fetch(`${url}/login`, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json' },
        body: JSON.stringify({ name: 'ada', password }),
      });
    expect((await login('falsch')).status).toBe(401);
    const response = await login('richtig');
    expect(response.status).toBe(204);
    return {
      Cookie: response.headers
        .getSetCookie()
        .map((cookie) => cookie.split(';')[0])
        .join('; '),
    };
  },
  'fastify-app': withToken,
  'fetch-app': withToken,
  'hono-app': withToken,
  'koa-app': withToken,
  'node-http-app': async () => ({ 'X-Api-Key': 'the key of ada' }),
};

async function withToken(): Promise<Record<string, string>> {
  const token = await signToken({ sub: 'ada', expiresInS: 600, resources: ['kunde', 'bericht'], secret: SECRET });
  return { Authorization: `Bearer ${token}` };
}

const children: ChildProcess[] = [];
const names: string[] = [];
let folder: string;
let tarball: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pg-change-feed-examples-'));
  ({ tarball } = await pack(folder));
}, 180_000);

afterAll(async () => {
  for (const child of children) child.kill('SIGKILL');
  for (const name of names) await runAsAdmin(`drop database if exists ${name} with (force)`);
  await rm(folder, { recursive: true, force: true });
});

test('all examples are run', async () => {
  // Those of other clients are run by test/other-clients.
  const own = (await readdir(EXAMPLES)).filter((name) => name !== 'other-clients');
  expect(own.sort()).toEqual(Object.keys(SIGN_IN).sort());
});

describe.each(Object.keys(SIGN_IN))('%s', (name) => {
  let app: string;
  let database: string;
  let psql: pg.Client;

  beforeAll(async () => {
    app = join(folder, name);
    await cp(join(EXAMPLES, name), app, { recursive: true });
    const manifest = JSON.parse(await readFile(join(app, 'package.json'), 'utf8'));
    manifest.dependencies['pg-change-feed'] = `file:${tarball}`;
    await writeFile(join(app, 'package.json'), JSON.stringify(manifest));
    await install(app);

    const databaseName = `example_${randomBytes(6).toString('hex')}`;
    await createRawDatabase(databaseName);
    names.push(databaseName);
    database = databaseUrl(databaseName);
    psql = new pg.Client({ connectionString: database, application_name: 'psql' });
    await psql.connect();
    await run('npm', ['run', 'migrate'], { cwd: app, env: { ...process.env, DATABASE_URL: database } });
    await psql.query(`create table kunde (id int primary key); select change_feed.watch('kunde');
      create table api_key (hash bytea primary key, subject text, rights text[]);
      insert into api_key values (sha256('the key of ada'), 'ada', '{kunde,bericht}');
      create function login(name text, password text) returns table (subject text, rights text[]) language sql as
        $$ select 'ada', '{kunde,bericht}'::text[] where name = 'ada' and password = 'richtig' $$`);
  }, 180_000);

  afterAll(() => psql.end());

  test('mounts the feed in under 25 lines', async () => {
    expect((await readFile(join(app, 'app.js'), 'utf8')).trimEnd().split('\n').length).toBeLessThan(25);
  });

  test('streams, resumes, subscribes by POST, keeps to its rights, withdraws them, and stops', async () => {
    const port = await freePort();
    const env = {
      ...process.env,
      DATABASE_URL: database,
      JWT_SECRET: SECRET,
      SESSION_SECRET: SECRET,
      PORT: String(port),
    };
    const child = spawn(process.execPath, ['app.js'], { cwd: app, env, stdio: ['ignore', 'inherit', 'inherit'] });
    children.push(child);
    const exited = new Promise((resolve) => child.once('exit', (...how) => resolve(how)));
    const origin = `http://localhost:${port}`;
    const url = `${origin}/api/events`;
    const statusOf = (headers: Record<string, string>, query = 'resources=kunde') =>
      fetch(`${url}?${query}`, { headers }).then(
        async ({ status, body }) => {
          await body?.cancel();
          return status;
        },
        () => undefined,
      );
    await until(async () => (await statusOf({})) === 401, 'the example to refuse a stranger');
    const headers = (await SIGN_IN[name]?.(origin)) ?? {};
    expect(await statusOf(headers, 'resources=gehalt')).toBe(403);
    // A page of another site, with the user's cookies
    const elsewhere = { ...headers, Cookie: headers.Cookie ?? 'a=1', 'Sec-Fetch-Site': 'cross-site' };
    expect(await statusOf(elsewhere)).toBe(403);

    const stream = await openStream(`${url}?resources=kunde`, headers);
    await stream.clientId();
    await psql.query('insert into kunde values (7)');
    const { data } = await stream.next(({ event }) => event === 'table-update');
    expect(data).toEqual({ resource: 'kunde', operation: 'insert', keys: [7], origin: { application: 'psql' } });
    const since = stream.lastEventId() ?? '';
    stream.close();

    await psql.query('insert into kunde values (8)');
    const resumed = await openStream(`${url}?resources=kunde`, { ...headers, 'Last-Event-ID': since });
    expect((await resumed.next(({ event }) => event === 'connected')).data).toMatchObject({ resumed: true });
    expect((await resumed.next(({ event }) => event === 'table-update')).data).toMatchObject({ keys: [8] });
    const subscribed = await fetch(`${url}/subscribe`, {
      method: 'POST',
      headers: { ...headers, 'Content-Type': 'application/json' },
      body: JSON.stringify({ clientId: await resumed.clientId(), resource: 'bericht' }),
    });
    expect(await subscribed.json()).toEqual({ success: true, resource: 'bericht', watched: false });
    await psql.query(`select change_feed.emit('bericht', '1')`);
    await until(() => resumed.updates.includes('bericht'), 'the event of the new subscription');

    await psql.query(`select change_feed.end_streams('ada')`);
    await until(() => resumed.ended(), 'the stream to be revoked');
    expect(resumed.events.at(-1)?.event).toBe('revoked');

    const last = await openStream(`${url}?resources=kunde`, headers);
    await last.clientId();
    child.kill('SIGTERM');
    expect(await exited).toEqual([0, null]);
    await until(() => last.ended());
  });
});
