import { setTimeout as delay } from 'node:timers/promises';
import { expect, jest, test } from '@jest/globals';
import { useTestServer } from '../running-server.js';

const server = useTestServer();

test('a client that resumes while the server is busy is resumed, though its second has passed', async () => {
  const position = await server.feed.currentPosition();
  const read = server.feed.changesSince.bind(server.feed);
  const spy = jest.spyOn(server.feed, 'changesSince').mockImplementation(async (...given) => {
    const reading = await read(...given);
    const answer = delay(1100);
    // Nothing runs meanwhile: then the time for `connected` is over, and so is the wait for the answer.
    for (const begun = performance.now(); performance.now() - begun < 1500; );
    await answer;
    return reading;
  });
  const stream = await server.stream(`resources=veranstaltung&lastEventId=${position}`);
  const { data } = await stream.next(({ event }) => event === 'connected');
  spy.mockRestore();
  expect(data.resumed).toBe(true);
});
