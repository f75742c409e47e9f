import { expect, jest, test } from '@jest/globals';
import type { LoggedChange } from '../../src/change.js';
import { ChangeLog } from '../../src/feed/log/change-log.js';
import { Resources } from '../../src/feed/resources.js';
import { useTestServer } from '../running-server.js';
import { until } from '../until.js';

const server = useTestServer();

test('garbage for a position, again and again, scans the log once; names that come later are known all the same', async () => {
  await server.psql(`select change_feed.emit('frueher')`);
  const scan = jest.spyOn(ChangeLog.prototype, 'loggedResources');
  const lost = async () => {
    const stream = await server.stream('resources=*', { 'Last-Event-ID': 'garbage' });
    await until(() => stream.updates.includes('veranstaltung'));
    return new Set(stream.updates);
  };
  expect((await Promise.all(Array.from({ length: 20 }, lost)))[0]).toEqual(
    new Set(['frueher', 'veranstaltung', 'anmeldung']),
  );
  const position = server.feed.position;
  await server.psql(`select change_feed.emit('spaeter')`);
  await until(() => server.feed.position.xmax > position.xmax);
  expect(await lost()).toEqual(new Set(['frueher', 'spaeter', 'veranstaltung', 'anmeldung']));
  expect(scan).toHaveBeenCalledTimes(1);

  // A stretch that was lost may have brought a name
  await server.psql(`truncate change_feed.epoch; select change_feed.emit('verpasst')`);
  await until(() => server.feed.position.epoch !== position.epoch);
  expect(await lost()).toEqual(new Set(['frueher', 'spaeter', 'verpasst', 'veranstaltung', 'anmeldung']));
  expect(scan).toHaveBeenCalledTimes(2);
  scan.mockRestore();
});

test('a scan that fails is tried again', async () => {
  const other = await server.another();
  const scan = jest
    .spyOn(ChangeLog.prototype, 'loggedResources')
    .mockRejectedValueOnce(new Error('canceling statement due to statement timeout'));
  expect(await other.feed.allResources()).toContain('veranstaltung');
  expect(scan).toHaveBeenCalledTimes(2);
  scan.mockRestore();
});

test('names without end cost no memory: the log is scanned again instead', async () => {
  const scan = jest.fn(async () => ['name 0', 'name 10000']);
  const resources = new Resources({ loggedResources: scan, watchedTables: async () => [] } as unknown as ChangeLog);
  expect(await resources.all()).toHaveLength(2);
  const named = (number: number) => ({ resource: `name ${number}`, operation: 'emit' }) as LoggedChange;
  for (let i = 0; i <= 10_000; i += 1) resources.add([named(i)]);
  expect(await resources.all()).toEqual(['name 0', 'name 10000']);
  expect(scan).toHaveBeenCalledTimes(2);
});
