// SPDX-License-Identifier: Apache-2.0
// What PostgREST has learned since 12.0.2, up to 16: no binary of it is at hand, so each expectation is
// written out here, from its documentation and change log (the version stands with each test).

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { SECRET } from './harness/hasten.mjs';
import { now, sign } from './harness/jwt.mjs';
import { SELF, startDropIn, startMuseum, startRest } from './harness/rest.mjs';
import { ask } from './rest/differential.mjs';

const options = { skip: SELF && 'needs a newer PostgREST than 12' };
const ADDED = `
    CREATE DOMAIN museum.nine AS integer DEFAULT 9;
    CREATE TABLE museum.nines (id integer PRIMARY KEY, n museum.nine DEFAULT 5, m museum.nine);
    GRANT SELECT, INSERT ON museum.nines TO author;`;

let pg, rest;
before(async () => {
    if (SELF) return;
    pg = await startMuseum();
    await pg.sql(ADDED);
    rest = await startRest(pg);
});
after(async () => {
    await rest?.stop();
    await pg?.close();
});

const answerOf = (request, more = {}) => ask(rest.url, ['', request, undefined, more]);

/** The answer of `request`, whose status must be `status`; JSON is parsed. */
async function get(request, status = 200, more = {}) {
    const answer = await answerOf(request, more);
    assert.equal(answer.status, status, `${request}: ${answer.text}`);
    return /json/.test(answer.headers.get('content-type') ?? '') ? JSON.parse(answer.text) : answer.text;
}

/** The error of `request`: {code, message, details, hint} must hold what `expected` says. */
async function fails(request, status, expected, more = {}) {
    const body = await get(request, status, more);
    const shown = Object.fromEntries(Object.keys(expected).map((key) => [key, body[key]]));
    assert.deepEqual(shown, expected, request);
}

const strictly = (count) => ({ prefer: `handling=strict, max-affected=${count}` });

test('13.0: is.not_null', options, async () => {
    const expected = (await pg.sql('SELECT id FROM museum.works WHERE year IS NOT NULL ORDER BY id'));
    assert.deepEqual(await get('GET /works?select=id&year=is.not_null&order=id'), expected);
    assert.deepEqual(await get('GET /works?select=id&or=(year.is.not_null,id.eq.6)&order=id'),
        await pg.sql('SELECT id FROM museum.works WHERE year IS NOT NULL OR id = 6 ORDER BY id'));
});

test('13.0: a full-text search applies its configuration to the column, too', options, async () => {
    const found = (sql) => pg.sql(`SELECT id FROM museum.works WHERE ${sql} ORDER BY id`);
    const french = await found("to_tsvector('french', blurb) @@ plainto_tsquery('french', 'chats impossibles')");
    assert.ok(french.length > 0 && french.length < 24);
    assert.deepEqual(await get('GET /works?select=id&blurb=plfts(french).chats impossibles&order=id'), french);
    assert.deepEqual(await get('GET /works?select=id&blurb=fts.moored&order=id'), await found("to_tsvector(blurb) @@ to_tsquery('moored')"));
    assert.deepEqual(await get('GET /works?select=id&meta=plfts(simple).o1&order=id'), await found("to_tsvector('simple', meta) @@ plainto_tsquery('simple', 'o1')"));
});

test('13.0: a spread of many gives one array for each column, in one order', options, async () => {
    assert.deepEqual(await get('GET /artists?select=name,...works(ids:id,years:year)&id=eq.2&works.order=id.desc'),
        [{ name: 'Bo "the Brush" Quist', ids: [16, 11, 6, 1], years: [1992, 1907, null, 1937] }]);
    assert.deepEqual(await get('GET /exhibitions?select=id,...works(titles:title)&order=id&works.order=id&works.limit=2'), await pg.sql(`
        SELECT x.id, ARRAY(SELECT w.title FROM museum.works w JOIN museum.exhibits e ON e.work_id = w.id
            WHERE e.exhibition_id = x.id ORDER BY w.id LIMIT 2) AS titles FROM museum.exhibitions x ORDER BY 1`));
    assert.deepEqual(await get('GET /artists?select=id,...works(labels(text))&id=eq.3&works.order=id&works.limit=2'),
        [{ id: 3, labels: [{ text: 'label 2' }, { text: 'label 12' }] }]);
});

test('13.0: aggregates in a spread of many are not implemented', options, () => fails('GET /artists?select=name,...works(price.sum())', 400,
    { code: 'PGRST127', message: 'Feature not implemented', details: 'Aggregates are not implemented for one-to-many or many-to-many spreads.' }));

test('13.0: a table that is not there, and one that is nearly', options, async () => {
    await fails('GET /hallz', 404, { code: 'PGRST205', message: "Could not find the table 'museum.hallz' in the schema cache", hint: "Perhaps you meant the table 'museum.halls'" });
    await fails('GET /nothing_like_it', 404, { code: 'PGRST205', hint: null });
    await fails('POST /nosuch', 404, { code: 'PGRST205' }, { body: { a: 1 } });
});

test('13.0: paths that are none, and a root that is off', options, async () => {
    await fails('GET /halls/1', 404, { code: 'PGRST125', message: 'Invalid path specified in request URL' });
    await fails('GET /rpc/add/1', 404, { code: 'PGRST125' });
    const closed = await startDropIn(pg, { 'openapi-mode': 'disabled' });
    try {
        const answer = await ask(closed.url, ['', 'GET /', undefined, {}]);
        assert.deepEqual([answer.status, JSON.parse(answer.text).code], [404, 'PGRST126']);
    } finally {
        await closed.stop();
    }
});

test('13.0: filters on columns of a function that are not selected', options, async () => {
    assert.deepEqual(await get('GET /rpc/works_of?artist=2&select=title&id=gt.6&order=id'), [{ title: 'Stone, cut 11' }, { title: 'The Cat 16' }]);
    assert.deepEqual(await get('GET /rpc/squares?n=3&select=sq&id=gte.2&order=id.desc'), [{ sq: 9 }, { sq: 4 }]);
});

test('13.0: what is written comes back in the order that is asked for', options, async () => {
    const rows = [{ id: 30, holder: 'a' }, { id: 32, holder: 'c' }, { id: 31, holder: 'b' }];
    assert.deepEqual(await get('POST /tickets?select=id&order=holder.desc', 201, { body: rows, prefer: 'return=representation' }), [{ id: 32 }, { id: 31 }, { id: 30 }]);
    assert.deepEqual(await get('PATCH /tickets?select=id&order=id.desc', 200, { body: { note: 'x' }, prefer: 'return=representation' }), [{ id: 3 }, { id: 2 }, { id: 1 }]);
    assert.deepEqual(await get('DELETE /tickets?select=id&order=holder.desc', 200, { prefer: 'return=representation' }), [{ id: 3 }, { id: 2 }, { id: 1 }]);
});

test('13.0: limit does not limit what is updated or deleted', options, async () => {
    const answer = await answerOf('PATCH /tickets?limit=1&order=id', { body: { note: 'x' }, prefer: 'count=exact' });
    assert.deepEqual([answer.status, answer.headers.get('content-range')], [204, '0-2/3']);
});

test('12.2: max-affected of PATCH and DELETE', options, async () => {
    await fails('DELETE /tickets', 400, { code: 'PGRST124', message: 'Query result exceeds max-affected preference constraint', details: 'The query affects 3 rows' }, strictly(2));
    await fails('PATCH /tickets', 400, { code: 'PGRST124' }, { ...strictly(2), body: { note: 'x' } });
    const allowed = await answerOf('DELETE /tickets?id=lt.3', strictly(2));
    assert.equal(allowed.status, 204);
    assert.equal(allowed.headers.get('preference-applied'), 'tx=rollback, handling=strict, max-affected=2');
    const lenient = await answerOf('DELETE /tickets', { prefer: 'handling=lenient, max-affected=1' });
    assert.equal(lenient.status, 204, 'counts with handling=strict alone');
    assert.doesNotMatch(lenient.headers.get('preference-applied'), /max-affected/);
    assert.equal((await answerOf('DELETE /tickets', { prefer: 'max-affected=1' })).status, 204);
});

test('13.0: max-affected of a function', options, async () => {
    await fails('POST /rpc/drop_exhibits', 400, { code: 'PGRST124', details: 'The query affects 10 rows' }, { ...strictly(9), body: {} });
    assert.equal((await get('POST /rpc/drop_exhibits', 200, { ...strictly(10), body: {} })).length, 10);
    await fails('POST /rpc/volatile_sum', 400, { code: 'PGRST128', message: 'Function must return SETOF or TABLE when max-affected preference is used with handling=strict' },
        { ...strictly(1), body: { a: 1, b: 2 } });
});

test('12.2: the last of RAISE PGRST that cannot be read is shown', options, async () => {
    const say = (message, detail) => ({ body: detail === undefined ? { message } : { message, detail } });
    const message = `Could not parse JSON in the "RAISE SQLSTATE 'PGRST'" error`;
    await fails('POST /rpc/raise_with', 500, { code: 'PGRST121', message, details: "Invalid JSON value for MESSAGE: 'no json'",
        hint: "MESSAGE must be a JSON object with obligatory keys: 'code', 'message' and optional keys: 'details', 'hint'." }, say('no json', '{"status":418,"headers":{}}'));
    await fails('POST /rpc/raise_with', 500, { code: 'PGRST121', message, details: "Invalid JSON value for DETAIL: 'no json'",
        hint: "DETAIL must be a JSON object with obligatory keys: 'status', 'headers' and optional key: 'status_text'." }, say('{"code":"1","message":"m"}', 'no json'));
    await fails('POST /rpc/raise_with', 500, { code: 'PGRST121', message, details: 'DETAIL is missing in the RAISE statement' }, say('{"code":"1","message":"m"}'));
});

test('12.2: statuses of PostgreSQL\'s errors', options, async () => {
    for (const [state, status] of [['42P17', 500], ['53400', 500], ['54001', 500], ['40001', 500], ['57P01', 503], ['21000', 500]]) {
        await fails('POST /rpc/raise_state', status, { code: state, message: 'raised' }, { body: { state } });
    }
});

test('12.2.4: missing=default takes the default of the column, not of its domain', options, async () => {
    assert.deepEqual(await get('POST /nines?columns=id,n,m', 201, { body: [{ id: 1 }], prefer: 'return=representation, missing=default' }), [{ id: 1, n: 5, m: 9 }]);
});

test('12.2: media types in any case, with a charset', options, async () => {
    assert.equal((await get('GET /halls?id=eq.1', 200, { accept: 'Application/Vnd.PgRst.Object+JSON' })).name, 'North');
    assert.equal(await get('GET /halls?select=id&id=eq.1', 200, { accept: 'TEXT/CSV; charset=utf-8' }), 'id\n1');
});

test('13.0.7: a schema that is not exposed', options, () => fails('GET /rooms', 406,
    { code: 'PGRST106', message: 'Invalid schema: vault', hint: 'Only the following schemas are exposed: museum, depot' }, { headers: { 'accept-profile': 'vault' } }));

test('13.0: one object that is not one', options, () => fails('GET /halls', 406,
    { code: 'PGRST116', message: 'Cannot coerce the result to a single JSON object', details: 'The result contains 5 rows' }, { accept: 'application/vnd.pgrst.object+json' }));

test('13.0: errors of tokens', options, async () => {
    const bearer = (claims) => ({ as: 'nobody', headers: { authorization: `Bearer ${sign(claims, SECRET)}` } });
    await fails('GET /halls', 401, { code: 'PGRST303', message: 'JWT expired' }, bearer({ role: 'author', exp: now(-100) }));
    await fails('GET /halls', 401, { code: 'PGRST303', message: 'JWT not yet valid' }, bearer({ role: 'author', nbf: now(1000) }));
    await fails('GET /halls', 401, { code: 'PGRST303', message: 'JWT issued at future' }, bearer({ role: 'author', iat: now(1000) }));
    await fails('GET /halls', 401, { code: 'PGRST303', message: "The JWT 'exp' claim must be a number" }, bearer({ role: 'author', exp: 'soon' }));
    const broken = { as: 'nobody', headers: { authorization: 'Bearer nonsense' } };
    await fails('GET /halls', 401, { code: 'PGRST301', message: 'Expected 3 parts in JWT; got 1' }, broken);
    assert.match((await answerOf('GET /halls', broken)).headers.get('www-authenticate'), /^Bearer error="invalid_token"/);
    await fails('GET /halls', 401, { code: 'PGRST301', message: 'Empty JWT is sent in Authorization header' }, { as: 'nobody', headers: { authorization: 'Bearer ' } });
});

test('13.0: errors name themselves in Proxy-Status, bodies have a length', options, async () => {
    const head = await answerOf('HEAD /halls?nosuch=eq.1');
    assert.match(head.headers.get('proxy-status'), /; error=42703$/);
    const row = await answerOf('GET /halls?select=id&id=eq.1');
    assert.equal(Number(row.headers.get('content-length')), row.bytes.length);
});

test('16.0: Vary', options, async () => {
    assert.match((await answerOf('GET /halls?limit=1')).headers.get('vary'), /Accept.*Prefer.*Range/);
    assert.equal((await answerOf('GET /rpc/answer?headers=[{"Vary":"X-Own"}]')).headers.get('vary'), 'X-Own');
});

test('16.0: a timezone that is none fails, an offset is one', options, async () => {
    await fails('GET /halls', 400, { code: '22023' }, { prefer: 'timezone=Jupiter/Red_Spot' });
    await fails('GET /halls', 400, { code: '22023' }, { prefer: 'handling=lenient, timezone=Jupiter/Red_Spot' });
    const answer = await answerOf('GET /works?select=at&id=eq.1', { prefer: 'timezone=05:30' });
    assert.equal(answer.headers.get('preference-applied'), 'timezone=05:30');
    assert.equal(Date.parse(JSON.parse(answer.text)[0].at), Date.parse('2026-01-01T07:00:00.5Z'));
    assert.match(answer.text, /[+-]05:30"/);
});

test('12.2.2: embeds without columns show nothing, at any depth', options, async () => {
    assert.deepEqual(await get('GET /artists?select=name,works(halls())&id=eq.2'), [{ name: 'Bo "the Brush" Quist' }]);
});

test('14.4: an update shows the rows that it changed, also where they no longer fit the filter', options, async () => {
    assert.deepEqual(await get('PATCH /tickets?or=(note.eq.first,note.eq.free)&select=id,note&order=id', 200, { body: { note: 'x' }, prefer: 'return=representation' }),
        [{ id: 1, note: 'x' }, { id: 3, note: 'x' }]);
});

test('14.2: a function with one named json parameter is not one with an unnamed', options, () =>
    fails('POST /rpc/named_json', 404, { code: 'PGRST202' }, { body: { other: 1 } }));

test('13.0.5: the root shows GET only for functions that do not write', options, async () => {
    const { paths } = await get('GET /');
    assert.deepEqual(Object.keys(paths['/rpc/add']).filter((key) => key !== 'parameters').sort(), ['get', 'post']);
    assert.deepEqual(Object.keys(paths['/rpc/touch']).filter((key) => key !== 'parameters'), ['post']);
});

test('in PostgREST\'s place nothing is served that a check of the operator\'s would not see', async () => {
    const place = await startDropIn(pg);
    try {
        assert.equal((await fetch(`${place.url}/halls?limit=1`)).status, 200);
        for (const path of ['/api/v1', '/api/v1/halls', '/api/v1/batch', '/metrics']) {
            const answer = await fetch(place.url + path, { method: path.endsWith('batch') ? 'POST' : 'GET' });
            assert.equal(answer.status, 404, `${path}: ${await answer.text()}`);
        }
    } finally {
        await place.stop();
    }
});
