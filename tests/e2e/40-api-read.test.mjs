// SPDX-License-Identifier: Apache-2.0
// The simple dialect's reads (A1, A4, A6): every parameter against what SQL says.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { member, startLab } from './harness/lab.mjs';

let lab;
before(async () => {
    lab = await startLab();
});
after(() => lab?.close());

async function ok(path, options) {
    const answer = await lab.get(path, options);
    assert.equal(answer.status, 200, `${path}: ${answer.text}`);
    return answer.body;
}

async function refused(path, status, code, pattern, options) {
    const answer = await lab.get(path, options);
    assert.equal(answer.status, status, `${path}: ${answer.text}`);
    assert.equal(answer.body.code, code, path);
    assert.match(JSON.stringify(answer.body), pattern, path);
    assert.deepEqual(Object.keys(answer.body), ['code', 'message', 'details', 'hint']);
}

const ids = (rows) => rows.map((row) => Number(row.id));
const sqlIds = async (where, order = 'id') => ids(await lab.sql(`SELECT id FROM lab.things WHERE ${where} ORDER BY ${order}`));
const e = encodeURIComponent;

test('a list: twenty rows by key, camelCase, ISO dates, no full-text column', async () => {
    const { data, pagination } = await ok('clients');
    assert.equal(data.length, 20);
    const [row] = await lab.sql('SELECT to_json(c)::jsonb - \'search\' AS c FROM api.clients c ORDER BY id LIMIT 1');
    const camel = Object.fromEntries(Object.entries(row.c).map(([k, v]) => [k.replace(/_(.)/g, (_, c) => c.toUpperCase()), v]));
    assert.deepEqual(data[0], camel);
    assert.deepEqual(Object.keys(pagination), ['page', 'limit', 'nextCursor', 'prevCursor']);
    assert.deepEqual([pagination.page, pagination.limit, pagination.prevCursor], [1, 20, null]);
    assert.equal(typeof pagination.nextCursor, 'string');
});

test('page and limit', async () => {
    const all = await sqlIds('true');
    const third = await ok('things?page=3&limit=7');
    assert.deepEqual(ids(third.data), all.slice(14, 21));
    assert.deepEqual([third.pagination.page, third.pagination.limit], [3, 7]);
    assert.equal(typeof third.pagination.prevCursor, 'string');
    const last = await ok('things?page=43&limit=7');
    assert.deepEqual(ids(last.data), all.slice(294));
    assert.equal(last.pagination.nextCursor, null);
    assert.deepEqual((await ok('things?page=44&limit=7')).data, []);
    assert.deepEqual(ids((await ok('things?limit=300')).data), all);
});

test('fields, nulls', async () => {
    const { data } = await ok('things?fields=label,id&limit=1');
    assert.deepEqual(Object.keys(data[0]), ['label', 'id']);
    const whole = (await ok('things/5')).data;
    const bare = (await ok('things/5?nulls=omit')).data;
    assert.equal(whole.grp, null);
    assert.deepEqual(bare, Object.fromEntries(Object.entries(whole).filter(([, v]) => v !== null)));
    assert.deepEqual((await ok('things/5?nulls=show')).data, whole);
});

test('every operator finds what SQL finds', async () => {
    const cases = [
        ['grp=g1', "grp = 'g1'"], ['grp[eq]=g1', "grp = 'g1'"], ['grp[ne]=g1', "grp <> 'g1'"],
        ['rank[gt]=1', 'rank > 1'], ['rank[gte]=1', 'rank >= 1'], ['rank[lt]=-1', 'rank < -1'], ['rank[lte]=-1', 'rank <= -1'],
        ['rank[gte]=-1&rank[lt]=3&grp=g2', "rank >= -1 AND rank < 3 AND grp = 'g2'"],
        ['id[in]=3,1,2,77', 'id IN (1, 2, 3, 77)'], ['id[in]=', 'false'],
        [`label[in]=${e('"com,ma 5","quo\\"te 4",plain 8,"back\\\\slash 3"')}`,
            "label IN ('com,ma 5', 'quo\"te 4', 'plain 8', 'back\\slash 3')"],
        [`label=${e('quo"te 4')}`, "label = 'quo\"te 4'"], ['label=back%5Cslash+3', "label = 'back\\slash 3'"],
        ['label[like]=plain+*', "label LIKE 'plain %'"], [`label[like]=${e('%1')}`, "label LIKE '%1'"],
        [`label[like]=${e('per\\%*')}`, "label LIKE 'per\\%%'"], ['label[ilike]=PLAIN*', "label ILIKE 'plain%'"],
        ['label[ilike]=zo%C3%8B*', "label ILIKE 'zoë%'"],
        ['mood[like]=it*', "mood::text LIKE 'it%'"], [`mood=${e('it\'s "odd", \\ really')}`, "mood = 'it''s \"odd\", \\ really'"],
        [`mood[in]=sad,${e('"it\'s \\"odd\\", \\\\ really"')}`, "mood IN ('sad', 'it''s \"odd\", \\ really')"],
        ['grp[null]=true', 'grp IS NULL'], ['grp[null]=false', 'grp IS NOT NULL'],
        ['flag=true', 'flag'], ['flag=false', 'NOT flag'], ['flag[ne]=t', 'flag <> true'],
        ['score[gt]=5.5e0', 'score > 5.5'], ['score=NaN', "score = 'NaN'"], ['weight=Infinity', "weight = 'Infinity'"],
        ['born[gte]=2020-03-01', "born >= '2020-03-01'"],
        ['at[lt]=2026-01-01T12:00:00Z', "at < '2026-01-01T12:00:00Z'"],
        ['at[gte]=2026-01-01T12:00:00%2B02:00', "at >= '2026-01-01T12:00:00+02:00'"],
        ['uid=00000000-0000-4000-8000-000000000919', "uid = '00000000-0000-4000-8000-000000000919'"],
        [`tags=${e('{t1,x}')}`, "tags = '{t1,x}'"], [`doc=${e('{"n":2,"null":null}')}`, 'doc = \'{"n":2,"null":null}\''],
        ['limit[eq]=2', '"limit" = 2'], ['limit[eq]=2&limit=300', '"limit" = 2'],
        ['search=plain+1', "(label ILIKE '%plain%' OR grp ILIKE '%plain%') AND (label ILIKE '%1%' OR grp ILIKE '%1%')"],
        ['search=r%25C', "label ILIKE '%r\\%c%'"], ['search=r_s', "label ILIKE '%r\\_s%'"], ['search=K%5CS', "label ILIKE '%k\\\\s%'"],
        ['search=', 'true'],
    ];
    for (const [query, where] of cases) {
        const expected = await sqlIds(where);
        const all = query.includes('limit=') ? query : `${query}&limit=300`;
        assert.deepEqual(ids((await ok(`things?${all}`)).data), expected, query);
        const { pagination } = await ok(`things?${query}&fields=id&count=exact`);
        assert.equal(pagination.total, expected.length, query);
    }
});

test('sort and order', async () => {
    for (const [query, order] of [
        ['sort=rank', 'rank, id'], ['sort=-rank', 'rank DESC, id DESC'], ['sort=rank&order=desc', 'rank DESC, id DESC'],
        ['sort=grp,-score', 'grp, score DESC, id DESC'], ['sort=-grp,score&order=asc', 'grp DESC, score, id'],
        ['sort=grp,-score&order=desc', 'grp DESC, score DESC, id DESC'], ['order=desc', 'id DESC'],
        ['sort=mood,uid,at', 'mood, uid, at, id'], ['sort=doc,tags', 'doc, tags, id'], ['sort=-id', 'id DESC'],
    ]) {
        assert.deepEqual(ids((await ok(`things?limit=300&${query}`)).data), await sqlIds('true', order), query);
    }
    assert.deepEqual((await ok('keyless?sort=-a&limit=2')).data, [{ a: 30, b: 'b30' }, { a: 29, b: 'b29' }]);
    assert.deepEqual((await ok('keyless?limit=2')).pagination, { page: 1, limit: 2, nextCursor: null, prevCursor: null });
});

test('count: exact, estimated, none', async () => {
    const total = async (query, options) => (await ok(query, options)).pagination;
    assert.deepEqual((({ total: n, pages }) => [n, pages])(await total('things?count=exact&limit=7')), [300, 43]);
    assert.deepEqual((({ total: n, pages }) => [n, pages])(await total('things?count=exact&limit=7&page=99')), [300, 43]);
    assert.equal((await total('things?count=exact&grp=none')).total, 0);
    assert.equal((await total('things?count=exact&grp=none')).pages, 0);
    assert.equal((await total('things?count=none')).total, undefined);
    const planner = await total('things?count=estimated');
    assert.deepEqual([planner.total, planner.totalIs], [300, 'estimate']);
    const few = await total('things?count=estimated&grp=g1');
    assert.deepEqual([few.total, few.totalIs], [(await sqlIds("grp = 'g1'")).length, 'exact']);
    const many = await total('appointments?count=estimated');
    assert.deepEqual([many.total, many.totalIs, many.pages], [10000, 'atLeast', undefined]);
    const [{ n }] = await lab.sql('SELECT count(*)::int AS n FROM api.clients WHERE company_id = 3');
    assert.equal((await total('clients?count=exact', { token: member(3) })).total, n);
    const cursor = (await ok('things?limit=7')).pagination.nextCursor;
    assert.equal((await total(`things?limit=7&count=exact&cursor=${cursor}`)).total, 300, 'of the list, not of the rest');
});

test('full-text search', async () => {
    const words = 'anna -schmidt';
    const expected = await lab.sql(`SELECT id FROM api.clients WHERE search @@ websearch_to_tsquery('simple', $1) ORDER BY id LIMIT 1000`, [words]);
    assert.ok(expected.length > 5);
    assert.deepEqual(ids((await ok(`clients?limit=1000&search=${e(words)}`)).data), ids(expected));
    // Words that the English configuration would cut.
    const [{ last_name: name }] = await lab.sql("SELECT last_name FROM api.clients WHERE last_name LIKE '%s' LIMIT 1");
    assert.ok((await ok(`clients?search=${e(name)}`)).data.length > 0);
    const mine = await ok('clients?limit=1000&search=anna', { token: member(3) });
    assert.ok(mine.data.length > 0 && mine.data.every((row) => row.companyId === 3));
    await refused('letters?search=x', 400, 'bad_parameter', /api\.search/);
});

test('include: what SQL joins, one statement', async () => {
    const { data } = await ok('appointments?include=client,staff.branch,invoices&limit=15&sort=-createdAt');
    for (const row of data) {
        assert.equal(row.client.id, row.clientId);
        assert.equal(row.staff.id, row.staffId);
        assert.equal(row.staff.branch.id, row.staff.branchId);
        const invoices = await lab.sql('SELECT id FROM api.invoices WHERE appointment_id = $1 ORDER BY id', [row.id]);
        assert.deepEqual(ids(row.invoices), ids(invoices));
    }
    const item = (await ok(`clients/${data[0].clientId}`)).data;
    assert.deepEqual(data[0].client, item, 'an embedded row looks like the row itself');

    const things = (await ok('things?include=parent,things,friends&limit=25&sort=id')).data;
    for (const thing of things) {
        assert.equal(thing.parent?.id, thing.parentId ?? undefined);
        assert.deepEqual(ids(thing.things), (await sqlIds(`parent_id = ${thing.id}`)).slice(0, 20));
        assert.deepEqual(ids(thing.friends), await sqlIds(`id = ANY ((SELECT friend_ids FROM lab.things WHERE id = ${thing.id})::bigint[])`));
    }
    const one = (await ok('things/1?include=lettersBySenderId,lettersByReceiverId&fields=id')).data;
    assert.deepEqual(Object.keys(one), ['id', 'lettersBySenderId', 'lettersByReceiverId']);
    assert.equal(one.lettersBySenderId.length, 20);
    assert.deepEqual(ids(one.lettersByReceiverId), ids(await lab.sql('SELECT id FROM lab.letters WHERE receiver_id = 1 ORDER BY id')));
    assert.equal((await ok('letters/3?include=receiver')).data.receiver, null);
    assert.equal('receiver' in (await ok('letters/3?include=receiver&nulls=omit')).data, false);
    const lean = (await ok('things/20?include=parent&nulls=omit&fields=id')).data.parent;
    assert.equal(Object.values(lean).includes(null), false);
});

test('include under row-level security shows nothing of others', async () => {
    const { data } = await ok('companies?include=branches', { token: member(3) });
    assert.deepEqual(ids(data), [3]);
    assert.ok(data[0].branches.every((branch) => branch.companyId === 3));
});

test('one row', async () => {
    const [row] = await lab.sql('SELECT id, label FROM lab.things WHERE id = 6');
    assert.deepEqual((await ok('things/6?fields=id,label')).data, { id: Number(row.id), label: row.label });
    assert.deepEqual((await ok('pairs/1,x')).data, { a: 1, b: 'x', note: 'one' });
    assert.equal((await ok(`pairs/${e('1,"a,b"')}`)).data.note, 'comma');
    assert.equal((await ok(`pairs/${e('2,"say \\"hi\\""')}`)).data.note, 'quotes');
    assert.equal((await ok(`pairs/${e('2,ü/ö')}`)).data.note, 'slash');
    const head = await lab.hasten.fetch('/api/v1/things/6', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(Number(head.headers.get('content-length')), Buffer.byteLength((await lab.get('things/6')).text));
    await refused('things/999999', 404, 'no_such_row', /999999/);
    await refused('keyless/1', 404, 'no_primary_key', /keyless/);
    await refused('thingNames/1', 404, 'no_primary_key', /thingNames/);
    await refused('things/abc', 400, 'bad_value', /\\"abc\\" is not a valid value for things\.id.*bigint/);
    await refused('things/9223372036854775808', 400, 'bad_value', /bigint/);
    await refused('things/', 404, 'not_found', /nothing at/);
    await refused('things/1/2', 404, 'not_found', /nothing at/);
    await refused('things/1?limit=2', 400, 'bad_parameter', /not possible here/);
    assert.equal((await ok('clients/1', { token: member((await ok('clients/1')).data.companyId) })).data.id, 1);
    await refused('clients/1', 404, 'no_such_row', /clients/, { token: member(9999) });
});

test('errors name what was meant', async () => {
    await refused('clinets', 404, 'unknown_table', /\\"clients\\"/);
    await refused('clients?satus=A', 400, 'unknown_column', /\\"status\\"/);
    await refused('clients?first_name=A', 400, 'unknown_column', /\\"firstName\\"/);
    await refused('clients?fields=id,emial', 400, 'unknown_column', /\\"email\\"/);
    await refused('clients?sort=creatdAt', 400, 'unknown_column', /\\"createdAt\\"/);
    await refused('clients?include=compny', 400, 'unknown_relation', /\\"company\\"/);
    await refused('clients?id[gtt]=1', 400, 'unknown_operator', /\\"gt\\"/);
    await refused('things?include=letters', 400, 'ambiguous_relation', /Name one: lettersBy\w+Id, lettersBy\w+Id\./);
    await refused('clients?companyId=x', 400, 'bad_value', /clients\.companyId.*bigint/);
    await refused('clients?birthday=yesterdayish', 400, '22007', /date/);
    await refused('clients?birthday=2026-02-30', 400, '22008', /out of range/);
    await refused('things?rank=2147483648', 400, 'bad_value', /integer/);
    await refused('things?score=1e200000', 400, '22003', /numeric|overflow/);
    await refused('things?raw=1', 400, '42883', /json/);
    await refused('things?sort=raw', 400, '42883', /json/);
    await refused(`things?label[like]=${e('a\\')}`, 400, 'bad_value', /escapes nothing/);
    for (const page of ['0', '-1', '1e9', 'x', '']) await refused(`clients?page=${page}`, 400, 'bad_parameter', /from 1/);
    for (const limit of ['0', '-1', '1001', '']) await refused(`clients?limit=${limit}`, 400, 'bad_parameter', /from 1 to 1000/);
    await refused('clients?page=1000000', 400, 'page_too_deep', /nextCursor/);
    await refused('clients?status=%00', 400, 'bad_encoding', /NUL/);
    await refused('clients?status=%ff', 400, 'bad_encoding', /UTF-8/);
    await refused('clients?status=%', 400, 'bad_encoding', /hexadecimal/);
    await refused(`clients?${Array.from({ length: 51 }, () => 'status=A').join('&')}`, 400, 'bad_parameter', /50 filters/);
    await refused('hidden', 401, '42501', /permission denied/);
    await refused('hidden', 403, '42501', /permission denied/, { token: member(1) });
    await refused('partly?fields=id,secret', 403, '42501', /\\"secret\\"/, { token: member(1) });
    assert.deepEqual((await ok('partly')).data, [{ id: 1, name: 'n' }]);
});

test('what is served here', async () => {
    const { data } = await ok('');
    const things = data.find((table) => table.name === 'things');
    assert.deepEqual(things.key, ['id']);
    assert.equal(things.path, '/api/v1/things');
    assert.deepEqual(things.columns[0], { name: 'id', type: 'bigint', nullable: false });
    assert.deepEqual(things.relations.map((relation) => relation.name).sort(),
        ['friends', 'lettersByReceiverId', 'lettersBySenderId', 'parent', 'things']);
    for (const relation of things.relations) await ok(`things?limit=1&include=${relation.name}`);
    const page = await lab.hasten.fetch('/');
    assert.match(page.headers.get('content-type'), /text\/html/);
    const html = await page.text();
    assert.match(html, /clients/);
    for (const [, link] of html.matchAll(/href="([^"]+)"/g)) {
        const answer = await lab.hasten.fetch(link.replaceAll('&amp;', '&'), { token: member(1) });
        assert.ok([200, 403].includes(answer.status), `${link}: ${answer.status}`);
        await answer.text();
    }
    const json = await lab.hasten.get('/', { headers: { accept: 'application/json' } });
    assert.ok(json.body.tables.some((table) => table.path === '/api/v1/clients'));
});

test('bigint as text, names as they are, answers of bounded length', async (t) => {
    const other = await startLab({ 'api.int8': 'string', 'api.names': 'same', 'server.answer.max': '64KiB' });
    t.after(() => other.close());
    const { body } = await other.get('things/30?include=parent,friends,letters_by_sender_id&fields=id,friend_ids');
    assert.equal(body.data.id, '30');
    assert.deepEqual(body.data.friend_ids, ['29', '27', '999999']);
    assert.equal(body.data.parent.id, '3');
    assert.deepEqual(body.data.friends.map((row) => row.id), ['27', '29']);
    assert.deepEqual(body.data.friends[0].friend_ids, ['26', '24', '999999']);
    assert.deepEqual(body.data.letters_by_sender_id, []);
    assert.equal((await other.get('thing_names?limit=1')).status, 200);
    assert.equal((await other.get('thingNames')).status, 404);
    const huge = await other.get('clients?limit=1000');
    assert.equal(huge.status, 400);
    assert.match(huge.text, /server\.answer\.max.*fewer rows/);
});
