import { once } from 'node:events';
import { beforeAll, describe, expect, test } from '@jest/globals';
import { useTestServer } from '../running-server.js';
import { until } from '../until.js';
import { useCommands } from './running-command.js';

const server = useTestServer();
const start = useCommands();

beforeAll(async () => {
  await server.psql(`create table zimmer (id int primary key, n int); select change_feed.watch('zimmer')`);
  const stream = await server.stream('resources=zimmer');
  await stream.clientId();
});

async function run(args: readonly string[], url = server.database.url) {
  const { child, said } = start(url, args);
  const [code] = await once(child, 'close');
  return { ...said, code };
}

let room = 0;
const insert = () => {
  room += 1;
  return server.psql('insert into zimmer values ($1, 0)', [room]);
};

describe('reached', () => {
  test('says it in one line, and in one for each server', async () => {
    await insert();
    let out = '';
    // A server that has no CPU for a second does not answer in time.
    await until(async () => {
      ({ out } = await run(['reached', 'zimmer']));
      return out.includes('1 person sees it\n');
    });
    expect(out).toMatch(/^zimmer {2}insert of zimmer via psql, \d+ s ago: 1 person sees it\n/);
    expect(out).toMatch(
      new RegExp(`\\n {2}${server.feed.instanceId} {2}zimmer {2}has read it, sent to 1 of 1, [\\d.]+ ms, leads\\n$`),
    );
  });

  test('without a resource: the newest change of anybody; as JSON', async () => {
    await server.psql(`begin; set local application_name = 'nightly'; select change_feed.emit('bericht'); commit`);
    const { out } = await run(['reached', '--json']);
    const [all, one] = JSON.parse(out);
    expect(all).toMatchObject({ server: 'all', resource: 'bericht' });
    expect(all.says).toMatch(/^emit of bericht via nightly, \d+ s ago: /);
    expect(one.server).toBe(server.feed.instanceId);
  });

  test('a user without the right is told so, in one sentence', async () => {
    await server.psql(`do $$ begin create role gast login password 'gast'; exception when duplicate_object then null; end $$;
      grant usage on schema change_feed to gast`);
    const address = new URL(server.database.url);
    address.username = 'gast';
    address.password = 'gast';
    const { err, code } = await run(['reached'], address.href);
    expect(err).toBe('ERROR: permission denied for function ask_servers\n');
    expect(code).toBe(1);
  });
});

describe('tail --reached', () => {
  test('says after each change who has received it', async () => {
    const { said, lines } = start(server.database.url, ['tail', '--reached']);
    await until(() => said.err.includes('Listening from now on'));
    const answers = () => lines().flatMap(({ reached }) => reached ?? []);
    await until(async () => {
      await insert();
      return answers().some(({ says }) => says === '1 person sees it');
    });
    expect(answers().find(({ says }) => says === '1 person sees it')).toEqual({
      resource: 'zimmer',
      hasRead: true,
      subscribed: 1,
      handed: 1,
      behind: 0,
      ms: expect.any(Number),
      says: '1 person sees it',
    });
    expect(lines()[0].resource).toBe('zimmer');
    await server.psql(`select change_feed.emit('niemand')`);
    await until(() =>
      answers().some(({ resource, says }) => resource === 'niemand' && says === 'nobody is subscribed'),
    );
  });

  test('asks about a flood of changes with a bounded number of questions', async () => {
    const { said } = start(server.database.url, ['tail', '--reached']);
    await until(() => said.err.includes('Listening from now on'));
    const asked = async () => (await server.psql('select last_value::int as n from change_feed.question')).rows[0].n;
    const before = await asked();
    await server.psql(`do $$ begin for i in 1..300 loop perform change_feed.emit('flut' || i % 30); end loop; end $$`);
    await until(() => said.out.includes('reached'));
    expect((await asked()) - before).toBeLessThanOrEqual(3);
  });
});
