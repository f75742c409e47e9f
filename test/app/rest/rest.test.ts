import { beforeAll, describe, expect, test } from '@jest/globals';
import { useTestServer } from '../../running-server.js';

const server = useTestServer();
let token: string;

beforeAll(async () => {
  token = await server.token();
});

const EVENT = {
  name: 'Sommerfest',
  beginn: '2030-07-01',
  ende: '2030-07-02',
  meldebeginn: '2030-01-01T00:00:00+01:00',
  meldeschluss: '2030-06-01T18:00:00Z',
  maxTeilnehmende: 100,
  teilnahmegebuehr: 1250,
};

async function call(method: string, path: string, body?: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(server.url + path, {
    method,
    headers: {
      Authorization: `Bearer ${token}`,
      ...(body !== undefined && { 'Content-Type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  const text = await response.text();
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  return { status: response.status, headers: response.headers, body: (text ? JSON.parse(text) : undefined) as any };
}

async function newEvent(fields: object = {}): Promise<{ id: number; etag: string }> {
  const { body, headers, status } = await call('POST', '/api/veranstaltungen', { ...EVENT, ...fields });
  expect(status).toBe(201);
  return { id: body.id, etag: headers.get('ETag') ?? '' };
}

describe('one row', () => {
  test('is created, read, changed and deleted', async () => {
    const created = await call('POST', '/api/veranstaltungen', EVENT);
    expect(created.status).toBe(201);
    expect(created.body).toEqual({
      ...EVENT,
      id: expect.any(Number),
      meldebeginn: '2029-12-31T23:00:00.000Z',
      meldeschluss: '2030-06-01T18:00:00.000Z',
      ort: null,
      beschreibung: null,
    });
    const path = created.headers.get('Location') ?? '';
    expect(path).toBe(`/api/veranstaltungen/${created.body.id}`);
    const read = await call('GET', path);
    expect(read.body).toEqual(created.body);
    expect(read.headers.get('ETag')).toBe(created.headers.get('ETag'));

    const changed = await call('PATCH', path, { ort: 'Lübeck' });
    expect(changed.body).toEqual({ ...created.body, ort: 'Lübeck' });
    expect(changed.headers.get('ETag')).not.toBe(created.headers.get('ETag'));
    expect((await call('DELETE', path)).status).toBe(204);
    expect(await call('GET', path)).toMatchObject({ status: 404, body: { error: { code: 'not_found' } } });
  });

  test('is not sent again to who has it', async () => {
    const { id, etag } = await newEvent();
    expect((await call('GET', `/api/veranstaltungen/${id}`, undefined, { 'If-None-Match': etag })).status).toBe(304);
    expect(
      (await call('GET', `/api/veranstaltungen/${id}`, undefined, { 'If-None-Match': `"x", W/${etag}` })).status,
    ).toBe(304);
    expect((await call('GET', `/api/veranstaltungen/${id}`, undefined, { 'If-None-Match': '"x"' })).status).toBe(200);
  });

  test('that has changed since it was read is not overwritten, nor deleted', async () => {
    const { id, etag } = await newEvent();
    await server.psql('update veranstaltung set ort = $1 where id = $2', ['anderswo', id]);
    for (const method of ['PATCH', 'DELETE']) {
      const body = method === 'PATCH' ? { ort: 'hier' } : undefined;
      const refused = await call(method, `/api/veranstaltungen/${id}`, body, { 'If-Match': etag });
      expect(refused).toMatchObject({ status: 412, body: { error: { code: 'precondition_failed' } } });
    }
    const now = await call('GET', `/api/veranstaltungen/${id}`);
    expect(now.body.ort).toBe('anderswo');
    const fresh = now.headers.get('ETag') ?? '';
    expect(
      (await call('PATCH', `/api/veranstaltungen/${id}`, { ort: 'hier' }, { 'If-Match': `W/${fresh}` })).status,
    ).toBe(412);
    expect(
      (await call('PATCH', `/api/veranstaltungen/${id}`, { ort: 'hier' }, { 'If-Match': `"x", ${fresh}` })).status,
    ).toBe(200);
    expect((await call('DELETE', `/api/veranstaltungen/${id}`, undefined, { 'If-Match': '*' })).status).toBe(204);
  });

  test('is changed by one of two who save at the same time', async () => {
    const { id, etag } = await newEvent();
    const both = await Promise.all(
      ['a', 'b'].map((ort) => call('PATCH', `/api/veranstaltungen/${id}`, { ort }, { 'If-Match': etag })),
    );
    expect(both.map(({ status }) => status).sort()).toEqual([200, 412]);
  });
});

describe('a list', () => {
  test('is paged, sorted and filtered', async () => {
    await server.psql('delete from veranstaltung');
    const { id: first } = await newEvent({ name: 'B', beginn: '2030-01-01', ende: '2030-01-01' });
    const { id: second } = await newEvent({ name: 'A', beginn: '2030-01-01', ende: '2030-01-01' });
    const { id: third } = await newEvent({ name: 'C', beginn: '2029-01-01', ende: '2029-01-01' });
    const ids = async (query: string) =>
      (await call('GET', `/api/veranstaltungen?${query}`)).body.items.map((row: { id: number }) => row.id);
    expect(await ids('')).toEqual([first, second, third]);
    expect(await ids('sort=beginn,-name')).toEqual([third, first, second]);
    expect(await ids('sort=-id&limit=1&offset=1')).toEqual([second]);
    expect((await call('GET', '/api/veranstaltungen?limit=1')).body).toMatchObject({ total: 3, limit: 1, offset: 0 });
    // Behind the end, and where nothing matches
    for (const [query, total] of Object.entries({
      'offset=3&limit=1': 3,
      'suche=D': 0,
      'suche=D&offset=1': 0,
      'suche=b&offset=9': 1,
    })) {
      expect((await call('GET', `/api/veranstaltungen?${query}`)).body).toMatchObject({ items: [], total });
    }
    const [row] = (await call('GET', '/api/veranstaltungen?limit=1')).body.items;
    expect(row).toMatchObject({ id: first, belegt: 0 });
    expect(row).not.toHaveProperty('total');

    for (const veranstaltungId of [first, first, second]) {
      await call('POST', '/api/anmeldungen', {
        veranstaltungId,
        vorname: 'Ada',
        nachname: 'L',
        email: 'ada@example.org',
      });
    }
    const filtered = await call('GET', `/api/anmeldungen?veranstaltungId=${first}`);
    expect(filtered.body).toMatchObject({
      total: 2,
      items: [{ status: 'OFFEN', kommentar: null }, { veranstaltungId: first }],
    });
  });

  test('says from which position to stream: what comes after it, and nothing before, is replayed', async () => {
    const { id: before } = await newEvent();
    const { headers, body } = await call('GET', '/api/veranstaltungen?limit=500');
    expect(body.items.map((row: { id: number }) => row.id)).toContain(before);
    const { id: after } = await newEvent();
    const position = encodeURIComponent(headers.get('Change-Feed-Position') ?? '');
    const stream = await server.stream(`resources=veranstaltung&lastEventId=${position}`);
    await stream.next(({ data }) => data.keys?.[0] === after);
    expect(stream.events.flatMap(({ data }) => data.keys ?? [])).toEqual([after]);
  });
});

describe('bad input gets a 400 that says what was expected', () => {
  const without = (key: keyof typeof EVENT) => ({ ...EVENT, [key]: undefined });
  test.each<[string, unknown, RegExp]>([
    ['no name', without('name'), /name: expected text/],
    ['a blank name', { ...EVENT, name: ' ' }, /name: expected text that is not blank/],
    ['a NUL', { ...EVENT, name: 'a\0' }, /name: expected text without NUL/],
    ['a day that is none', { ...EVENT, beginn: '2030-02-30' }, /beginn: expected a day/],
    ['a moment without offset', { ...EVENT, meldeschluss: '2030-06-01T18:00:00' }, /meldeschluss: expected a moment/],
    ['a number as text', { ...EVENT, maxTeilnehmende: '5' }, /maxTeilnehmende: expected a whole number from 1/],
    ['half a cent', { ...EVENT, teilnahmegebuehr: 1.5 }, /teilnahmegebuehr: expected a whole number/],
    [
      'more than an integer holds',
      { ...EVENT, maxTeilnehmende: 2 ** 31 },
      /maxTeilnehmende: expected at most 2147483647/,
    ],
    ['an end before the beginning', { ...EVENT, ende: '2030-06-30' }, /ende_nicht_vor_beginn/],
    ['an unknown field', { ...EVENT, preis: 1 }, /preis/],
    ['an array', [], /expected object/i],
  ])('%s', async (_name, body, message) => {
    const { status, body: answer } = await call('POST', '/api/veranstaltungen', body);
    expect({ status, code: answer.error.code }).toEqual({ status: 400, code: 'bad_request' });
    expect(answer.error.message).toMatch(message);
  });

  test.each([
    ['/api/veranstaltungen?limit=0', /limit: expected a whole number from 1 to 500/],
    ['/api/veranstaltungen?limit=501', /limit/],
    ['/api/veranstaltungen?offset=-1', /offset/],
    ['/api/veranstaltungen?sort=passwort', /sort: expected names out of id, name/],
    [`/api/veranstaltungen?sort=${'id,'.repeat(5000)}`, /sort: expected at most 1000 characters/],
    [`/api/veranstaltungen?sort=${','.repeat(5000)}`, /sort: expected at most 1000 characters/],
    ['/api/veranstaltungen?sort=id,-id', /sort: expected each name once, got id again/],
    ['/api/veranstaltungen?sort=id&sort=id', /sort/],
    ['/api/veranstaltungen?filter=x', /filter/],
    ['/api/anmeldungen?veranstaltungId=x', /veranstaltungId/],
    ['/api/veranstaltungen/abc', /id: expected a positive whole number/],
    ['/api/veranstaltungen/0', /id/],
    ['/api/veranstaltungen/99999999999', /id/],
  ])('%s', async (path, message) => {
    const { status, body } = await call('GET', path);
    expect(status).toBe(400);
    expect(body.error.message).toMatch(message);
  });

  test('an empty change, and a registration for no event', async () => {
    const { id } = await newEvent();
    expect((await call('PATCH', `/api/veranstaltungen/${id}`, {})).body.error.message).toBe(
      'expected at least one field',
    );
    const lost = { veranstaltungId: 2_000_000_000, vorname: 'A', nachname: 'B', email: 'a@b' };
    expect(await call('POST', '/api/anmeldungen', lost)).toMatchObject({
      status: 409,
      body: { error: { code: 'conflict' } },
    });
    const wrong = { veranstaltungId: id, vorname: 'A', nachname: 'B', email: 'ab', status: 'VIELLEICHT' };
    const { status, body } = await call('POST', '/api/anmeldungen', wrong);
    expect(status).toBe(400);
    expect(body.error.message).toMatch(/email: expected an address .*status: expected one of OFFEN/);
  });

  test('no JSON, too much of it, or none of it', async () => {
    expect(await call('POST', '/api/veranstaltungen', '{"name":')).toMatchObject({ status: 400 });
    expect(await call('POST', '/api/veranstaltungen', '{"name":"a"}', { 'Content-Type': 'text/plain' })).toMatchObject({
      status: 415,
      body: { error: { code: 'unsupported_media_type' } },
    });
    expect(await call('POST', '/api/veranstaltungen', { ...EVENT, beschreibung: 'x'.repeat(70_000) })).toMatchObject({
      status: 413,
      body: { error: { code: 'payload_too_large' } },
    });
    expect((await call('POST', '/api/veranstaltungen')).status).toBe(415);
  });

  test('a path or a method that is not there', async () => {
    expect(await call('GET', '/api/nichts')).toMatchObject({ status: 404, body: { error: { code: 'not_found' } } });
    const put = await call('PUT', '/api/veranstaltungen/1', {});
    expect(put).toMatchObject({ status: 405, body: { error: { code: 'method_not_allowed' } } });
    expect(put.headers.get('Allow')).toContain('PATCH');
    expect((await call('POST', '/readyz', {})).status).toBe(405);
  });
});

describe('who writes', () => {
  test('stands in the origin: the sub of the token, and the stream of the page', async () => {
    const stream = await server.stream('resources=veranstaltung');
    const clientId = await stream.clientId();
    const { body } = await call('POST', '/api/veranstaltungen', EVENT, { 'Change-Feed-Client': clientId });
    const { data } = await stream.next(({ data }) => data.keys?.[0] === body.id);
    expect(data.origin).toEqual({ application: 'pg-change-feed', actor: 'ada', client: clientId });
  });

  test('with a malformed client id is refused', async () => {
    expect(await call('POST', '/api/veranstaltungen', EVENT, { 'Change-Feed-Client': 'a b' })).toMatchObject({
      status: 400,
    });
  });

  test('is limited to the resources of the token', async () => {
    token = await server.token({ resources: ['anmeldung'] });
    expect(await call('GET', '/api/veranstaltungen')).toMatchObject({
      status: 403,
      body: { error: { code: 'forbidden' } },
    });
    expect((await call('POST', '/api/veranstaltungen', EVENT)).status).toBe(403);
    expect((await call('GET', '/api/anmeldungen')).status).toBe(200);
    token = await server.token();
  });
});
