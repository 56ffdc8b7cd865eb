// SPDX-License-Identifier: Apache-2.0
// Cursors (A2): any sort, both directions, NULLs, mixed directions, under inserts; and what they refuse.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, exampleConfig } from './harness/hasten.mjs';
import { member, startLab } from './harness/lab.mjs';
import { waitUntil } from './harness/util.mjs';

let lab;
before(async () => {
    lab = await startLab();
});
after(() => lab?.close());

async function page(path, options) {
    const answer = await lab.get(path, options);
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    return answer.body;
}

/** All ids from the first page to the last, by nextCursor. */
async function walk(path, { between = () => {}, ...options } = {}) {
    const seen = [];
    for (let cursor = ''; cursor !== null;) {
        const { data, pagination } = await page(`${path}${cursor && `&cursor=${cursor}`}`, options);
        seen.push(...data.map((row) => row.id));
        cursor = pagination.nextCursor;
        await between();
    }
    return seen;
}

/** From the end of the list back to its beginning, by prevCursor. */
async function walkBack(path, last) {
    const seen = [];
    for (let cursor = last; cursor !== null;) {
        const { data, pagination } = await page(`${path}&cursor=${cursor}`);
        seen.unshift(...data.map((row) => row.id));
        cursor = pagination.prevCursor;
    }
    return seen;
}

async function lastPage(path) {
    let answer = await page(path);
    while (answer.pagination.nextCursor) answer = await page(`${path}&cursor=${answer.pagination.nextCursor}`);
    return answer;
}

const SORTS = [
    ['', 'id'], ['order=desc', 'id DESC'],
    ['sort=label', 'label, id'], ['sort=-label', 'label DESC, id DESC'],
    ['sort=grp', 'grp, id'], ['sort=-grp', 'grp DESC, id DESC'],
    ['sort=grp,-rank', 'grp, rank DESC, id DESC'], ['sort=-grp,rank', 'grp DESC, rank, id'],
    ['sort=-grp,rank,-id', 'grp DESC, rank, id DESC'], ['sort=-flag,grp,-mood,score', 'flag DESC, grp, mood DESC, score, id'],
    ['sort=score', 'score, id'], ['sort=-weight', 'weight DESC, id DESC'], ['sort=at,-born', 'at, born DESC, id DESC'],
    ['sort=mood', 'mood, id'], ['sort=uid,doc', 'uid, doc, id'], ['sort=tags,-friendIds', 'tags, friend_ids DESC, id DESC'],
    ['sort=parentId,-limit', 'parent_id, "limit" DESC, id DESC'],
];

for (const [query, order] of SORTS) {
    test(`forth and back over all of it: ${query || 'by key'}`, async () => {
        const expected = (await lab.sql(`SELECT id FROM lab.things ORDER BY ${order}`)).map((row) => Number(row.id));
        for (const limit of [7, 20]) {
            const path = `things?fields=id&limit=${limit}&${query}`;
            assert.deepEqual(await walk(path), expected);
            const end = await lastPage(path);
            const before = await walkBack(path, end.pagination.prevCursor);
            assert.deepEqual([...before, ...end.data.map((row) => row.id)], expected);
        }
    });
}

test('with filters, search, includes and a tenant', async () => {
    const expected = (await lab.sql("SELECT id FROM lab.things WHERE label ILIKE '%a%' AND rank >= 0 ORDER BY grp DESC, id DESC"))
        .map((row) => Number(row.id));
    assert.deepEqual(await walk('things?limit=5&search=a&rank[gte]=0&sort=-grp&include=parent&count=exact'), expected);
    const mine = (await lab.sql('SELECT id FROM api.clients WHERE company_id = 3 ORDER BY last_name, first_name DESC, id DESC'))
        .map((row) => Number(row.id));
    assert.ok(mine.length > 50);
    assert.deepEqual(await walk('clients?limit=50&sort=lastName,-firstName', { token: member(3) }), mine);
    const pairs = [];
    for (let cursor = ''; cursor !== null;) {
        const { data, pagination } = await page(`pairs?fields=a,b&limit=1&sort=-b${cursor && `&cursor=${cursor}`}`);
        pairs.push(...data.map((row) => `${row.a} ${row.b}`));
        cursor = pagination.nextCursor;
    }
    assert.deepEqual(pairs, ['2 ü/ö', '1 x', '2 say "hi"', '1 a,b']);
});

test('there and back again: prevCursor of a page gives the page before', async () => {
    const first = await page('things?limit=10&sort=-rank');
    const second = await page(`things?limit=10&sort=-rank&cursor=${first.pagination.nextCursor}`);
    assert.equal(second.pagination.page, null);
    const back = await page(`things?limit=10&sort=-rank&cursor=${second.pagination.prevCursor}`);
    assert.deepEqual(back.data, first.data);
    assert.equal(back.pagination.prevCursor, null);
    const again = await page(`things?limit=10&sort=-rank&cursor=${back.pagination.nextCursor}`);
    assert.deepEqual(again.data, second.data);
    const byPage = await page('things?limit=10&sort=-rank&page=2');
    assert.deepEqual(byPage.data, second.data);
    assert.deepEqual((await page(`things?limit=10&sort=-rank&cursor=${byPage.pagination.prevCursor}`)).data, first.data);
});

test('rows that were there are met once each, while others come and go', async () => {
    for (const query of ['sort=-createdAt', 'sort=lastName,-firstName']) {
        const path = `clients?fields=id&limit=20&companyId=3&${query}`;
        const there = (await lab.sql('SELECT id FROM api.clients WHERE company_id = 3')).map((row) => Number(row.id));
        let n = 0;
        const seen = await walk(path, {
            between: () => lab.sql(`INSERT INTO api.clients (company_id, first_name, last_name, created_at)
                SELECT 3, chr(65 + i), chr(65 + ($1::int * 7 + i) % 26), now() - i * interval '90 days' FROM generate_series(0, 12) i`, [n++]),
        });
        assert.equal(new Set(seen).size, seen.length, 'nothing twice');
        const met = new Set(seen);
        assert.deepEqual(there.filter((id) => !met.has(id)), []);
        assert.ok(n > 5);
    }
});

test('a cursor is refused with anything else than its list', async () => {
    const { nextCursor } = (await page('things?limit=5&sort=-grp&rank[gt]=0')).pagination;
    const refused = async (path) => {
        const answer = await lab.get(path);
        assert.equal(answer.status, 400, path);
        assert.equal(answer.body.code, 'bad_cursor', path);
    };
    await refused(`things?sort=grp&rank[gt]=0&cursor=${nextCursor}`);
    await refused(`things?sort=-grp&rank[gt]=1&cursor=${nextCursor}`);
    await refused(`things?sort=-grp&cursor=${nextCursor}`);
    await refused(`things?sort=-grp&rank[gt]=0&search=a&cursor=${nextCursor}`);
    await refused(`clients?cursor=${nextCursor}`);
    await refused(`keyless?cursor=${nextCursor}`);
    await refused('things?cursor=');
    await refused('things?cursor=AAAA');
    await refused(`things?sort=-grp&rank[gt]=0&cursor=${'A'.repeat(7000)}`);
    for (let i = 0; i < nextCursor.length; i++) {
        const other = nextCursor.slice(0, i) + (nextCursor[i] === 'x' ? 'y' : 'x') + nextCursor.slice(i + 1);
        await refused(`things?sort=-grp&rank[gt]=0&cursor=${other}`);
    }
    assert.equal((await lab.get(`things?page=1&sort=-grp&rank[gt]=0&cursor=${nextCursor}`)).body.code, 'bad_parameter');
    await page(`things?rank[gt]=0&sort=-grp,-id&limit=50&fields=id&cursor=${nextCursor}`);
});

test('a value too long for a cursor is said, not swallowed', async () => {
    await lab.sql("UPDATE lab.pairs SET note = repeat('x', 5000) WHERE a = 1");
    const answer = await lab.get('pairs?sort=note&limit=3');
    assert.equal(answer.status, 400);
    assert.match(answer.body.message, /too long for a cursor/);
    assert.equal((await lab.get('pairs?sort=note')).status, 200, 'no further page, no cursor');
});

test('another program with the same secret accepts it, one with another does not', async (t) => {
    const { nextCursor } = (await page('clients?limit=5')).pagination;
    for (const [secret, status] of [['the secret of the cursors in tests, long', 200], ['another secret of the cursors, as long', 400]]) {
        const other = await Hasten.start(exampleConfig(lab.pg, { 'api.cursor.secret': secret }));
        t.after(() => other.stop());
        assert.equal((await other.fetch(`/api/v1/clients?limit=5&cursor=${nextCursor}`)).status, status);
    }
});

const EXPLAIN = `
ALTER DATABASE clients_plus SET session_preload_libraries = 'auto_explain';
ALTER DATABASE clients_plus SET auto_explain.log_min_duration = 0;
ALTER DATABASE clients_plus SET auto_explain.log_analyze = on;
ALTER DATABASE clients_plus SET auto_explain.log_buffers = on;
ALTER DATABASE clients_plus SET auto_explain.log_timing = off;`;

test('the cost of a page does not depend on its depth', async (t) => {
    const logged = await startLab({}, { prepare: EXPLAIN });
    t.after(() => logged.close());
    const get = async (path, options) => (await logged.get(path, options)).body.pagination;
    /** Buffers that the statement for a path touches, as auto_explain logs them. */
    const buffers = async (path, options) => {
        const before = logged.pg.log.length;
        await get(path, options);
        const plan = () => /Query Text: SELECT t0\.[^]*?Buffers: shared( hit=(\d+))?( read=(\d+))?/.exec(logged.pg.log.slice(before));
        await waitUntil(() => plan(), { timeout: 5000, what: 'the plan in the log' });
        const [, , hit = 0, , read = 0] = plan();
        return Number(hit) + Number(read);
    };
    for (const [query, options] of [
        ['clients?sort=createdAt', {}], ['clients?sort=-createdAt', {}], ['clients?fields=id', {}],
        ['clients?companyId=1&sort=-createdAt', {}], ['clients?companyId=1&sort=-lastName,-firstName', {}],
        ['clients?sort=createdAt', { token: member(1) }],
    ]) {
        const path = `${query}&limit=20&cursor=`;
        let cursor = (await get(`${query}&limit=20`, options)).nextCursor;
        const first = await buffers(path + cursor, options);
        for (let jump = 0; jump < 2; jump++) {
            cursor = (await get(`${query}&limit=1000&cursor=${cursor}`, options)).nextCursor ?? cursor;
        }
        const deep = await buffers(path + cursor, options);
        assert.ok(deep <= first * 1.5 + 10, `${query}: ${first} buffers at first, ${deep} deep down`);
    }
});
