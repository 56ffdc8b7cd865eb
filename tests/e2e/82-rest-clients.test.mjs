// SPDX-License-Identifier: Apache-2.0
// Supabase's clients, unmodified from npm, in front of hasten: every method of @supabase/postgrest-js, and
// the REST part of @supabase/supabase-js. Each test runs against PostgREST 12.0.2 first, so that what it
// expects is right, unless it needs a newer one; the last test says which method was never called.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PostgrestBuilder, PostgrestClient, PostgrestError, PostgrestFilterBuilder, PostgrestQueryBuilder, PostgrestTransformBuilder } from '@supabase/postgrest-js';
import { createClient } from '@supabase/supabase-js';
import { SECRET } from './harness/hasten.mjs';
import { sign } from './harness/jwt.mjs';
import { Postgrest } from './harness/postgrest.mjs';
import { SELF, startMuseum, startRest } from './harness/rest.mjs';

const TOKEN = sign({ role: 'author', sub: 'ann' }, SECRET);
const headers = { Authorization: `Bearer ${TOKEN}` };
const called = new Set();
const CLASSES = [PostgrestClient, PostgrestQueryBuilder, PostgrestFilterBuilder, PostgrestTransformBuilder, PostgrestBuilder, PostgrestError];

/** The methods of a class; the compiled ones with an underscore or for types alone stay out. */
const methodsOf = ({ prototype }) => Object.getOwnPropertyNames(prototype)
    .filter((name) => name !== 'constructor' && typeof Object.getOwnPropertyDescriptor(prototype, name).value === 'function');

for (const kind of CLASSES) {
    for (const name of methodsOf(kind)) {
        const real = kind.prototype[name];
        kind.prototype[name] = function recorded(...args) {
            called.add(name);
            return real.apply(this, args);
        };
    }
}

let pg;
const servers = {};
before(async () => {
    pg = await startMuseum();
    servers.PostgREST = await Postgrest.start(pg);
    servers.hasten = await startRest(pg);
});
after(async () => {
    await servers.PostgREST?.stop();
    await servers.hasten?.stop();
    await pg?.close();
});

/** The first column of the rows that SQL finds: what a filter has to find, too. */
const column = async (text) => (await pg.sql(text)).map((row) => Object.values(row)[0]);
const worksWhere = (condition) => column(`SELECT id FROM museum.works WHERE ${condition} ORDER BY id`);

/** fn(client, url) against PostgREST and hasten; `newer` names the version that PostgREST would need. */
function both(what, fn, { newer } = {}) {
    test(what, async (t) => {
        for (const name of newer ? ['hasten'] : ['PostgREST', 'hasten']) {
            const skip = newer && SELF && `needs PostgREST ${newer}`;
            await t.test(name, { skip }, () => fn(new PostgrestClient(servers[name].url, { headers, schema: 'museum' }), servers[name].url));
        }
    });
}

/** The data of an answer without an error. */
async function data(query) {
    const answer = await query;
    assert.equal(answer.error, null, JSON.stringify(answer.error));
    return answer.data;
}

/** The error of an answer, with its status. */
async function refused(query, status, code) {
    const { data: nothing, error, status: got } = await query;
    assert.equal(nothing, null);
    assert.deepEqual([got, error.code], [status, code], JSON.stringify(error));
    return error;
}

/** A filter of works finds what SQL finds, and that is neither none nor all. */
const finds = (what, filter, sql) => both(`${what}()`, async (client) => {
    const expected = await worksWhere(sql);
    assert.ok(expected.length > 0 && expected.length < 24, `${expected.length} rows show nothing`);
    const rows = await data(filter(client.from('works').select('id')).order('id'));
    assert.deepEqual(rows.map(({ id }) => id), expected);
});

// ---- reading ------------------------------------------------------------------

both('select()', async (client) => {
    assert.deepEqual(await data(client.from('halls').select().order('id').limit(2)), [
        { id: 1, name: 'North', floor: 0, open: true }, { id: 2, name: 'South', floor: 0, open: true }]);
    assert.deepEqual(await data(client.from('halls').select(' no:id, name ').eq('id', 5)), [{ no: 5, name: 'Dome' }]);
});

both('select() with related tables', async (client) => {
    const rows = await data(client.from('works').select(`id, artists ( name, mentor ( name ) ), labels ( text ), exhibitions ( name )`).in('id', [1, 20]).order('id'));
    assert.deepEqual(rows, [
        { id: 1, artists: { name: 'Bo "the Brush" Quist', mentor: { name: 'Ada Lind' } }, labels: { text: 'label 1' }, exhibitions: [{ name: 'Spring' }] },
        { id: 20, artists: { name: 'Ada Lind', mentor: null }, labels: null, exhibitions: [] },
    ]);
    assert.deepEqual(await data(client.from('loans').select('id, from:institutions!loans_lender(name)').eq('id', 2)), [{ id: 2, from: { name: 'Old Museum' } }]);
    assert.deepEqual(await data(client.from('works').select('id, ...artists(artist:name)').eq('id', 3)), [{ id: 3, artist: 'Dmitri\\Z' }]);
});

both('select() with a count, and of the head alone', async (client) => {
    for (const count of ['exact', 'planned', 'estimated']) {
        const answer = await client.from('halls').select('*', { count, head: true });
        assert.deepEqual([answer.status, answer.count, answer.data], [200, 5, null], count);
    }
    const page = await client.from('works').select('id', { count: 'exact' }).order('id').range(2, 3);
    assert.deepEqual([page.status, page.count, page.data], [206, 24, [{ id: 3 }, { id: 4 }]]);
});

both('select() of what is not there', async (client) => {
    const error = await refused(client.from('halls').select('nosuch'), 400, '42703');
    assert.equal(error.message, 'column halls.nosuch does not exist');
});

both('schema()', async (client) => {
    assert.deepEqual(await data(client.schema('depot').from('items').select('name, parts(name)').eq('id', 1)), [{ name: 'ladder', parts: [{ name: 'rung' }, { name: 'rail' }] }]);
    assert.equal(await data(client.schema('depot').rpc('add', { a: 1, b: 2 })), 1003);
    await refused(client.schema('vault').from('rooms').select(), 406, 'PGRST106');
});

// ---- filters ---------------------------------------------------------------------

finds('eq', (q) => q.eq('title', 'Stone, cut 3'), "title = 'Stone, cut 3'");
finds('neq', (q) => q.neq('kind', 'drawing'), "kind <> 'drawing'");
finds('gt', (q) => q.gt('price', 100), 'price > 100');
finds('gte', (q) => q.gte('year', 1950), 'year >= 1950');
finds('lt', (q) => q.lt('id', 4), 'id < 4');
finds('lte', (q) => q.lte('weight', 1.25), 'weight <= 1.25');
finds('like', (q) => q.like('title', '%Cat%'), "title LIKE '%Cat%'");
finds('likeAllOf', (q) => q.likeAllOf('title', ['%a%', '%t%1%']), "title LIKE '%a%' AND title LIKE '%t%1%'");
finds('likeAnyOf', (q) => q.likeAnyOf('title', ['%Cat%', 'Z%']), "title LIKE '%Cat%' OR title LIKE 'Z%'");
finds('ilike', (q) => q.ilike('title', '%cat%'), "title ILIKE '%cat%'");
finds('ilikeAllOf', (q) => q.ilikeAllOf('title', ['%A%', '%FAT%']), "title ILIKE '%a%' AND title ILIKE '%fat%'");
finds('ilikeAnyOf', (q) => q.ilikeAnyOf('title', ['%CAT%', 'z%']), "title ILIKE '%cat%' OR title ILIKE 'z%'");
finds('regexMatch', (q) => q.regexMatch('title', '^A .*[0-9]$'), "title ~ '^A .*[0-9]$'");
finds('regexIMatch', (q) => q.regexIMatch('title', '^a FAT'), "title ~* '^a FAT'");
finds('is', (q) => q.is('sold', true), 'sold IS TRUE');
finds('is(null)', (q) => q.is('year', null), 'year IS NULL');
finds('isDistinct', (q) => q.isDistinct('year', 1937), 'year IS DISTINCT FROM 1937');
finds('in', (q) => q.in('title', ['Stone, cut 3', 'The Cat 8', 'x']), "title IN ('Stone, cut 3', 'The Cat 8')");
finds('notIn', (q) => q.notIn('id', [1, 2, 3]), 'id NOT IN (1, 2, 3)');
finds('contains, an array', (q) => q.contains('tags', ['odd']), "tags @> '{odd}'");
finds('contains, JSON', (q) => q.contains('meta', { owner: { name: 'o1' } }), `meta @> '{"owner": {"name": "o1"}}'`);
finds('contains, a range', (q) => q.contains('span', '[5,6)'), "span @> '[5,6)'");
finds('containedBy', (q) => q.containedBy('scores', [0, 1, 2, 3, 4, 5, 6]), "scores <@ '{0,1,2,3,4,5,6}'");
finds('rangeGt', (q) => q.rangeGt('span', '[10,12)'), "span >> '[10,12)'");
finds('rangeGte', (q) => q.rangeGte('span', '[10,12)'), "span &> '[10,12)'");
finds('rangeLt', (q) => q.rangeLt('span', '[10,12)'), "span << '[10,12)'");
finds('rangeLte', (q) => q.rangeLte('span', '[10,12)'), "span &< '[10,12)'");
finds('rangeAdjacent', (q) => q.rangeAdjacent('span', '[3,4)'), "span -|- '[3,4)'");
finds('overlaps, an array', (q) => q.overlaps('tags', ['t1', 'odd']), "tags && ARRAY['t1', 'odd']");
finds('overlaps, a range', (q) => q.overlaps('shown', '[2026-01-05,2026-01-06]'), "shown && '[2026-01-05,2026-01-06]'");
finds('textSearch', (q) => q.textSearch('words', "'fat' & 'rat'"), "words @@ to_tsquery('fat & rat')");
finds('textSearch, plain', (q) => q.textSearch('words', 'The Fat Rats', { type: 'plain', config: 'english' }), "words @@ plainto_tsquery('english', 'The Fat Rats')");
finds('textSearch, phrase', (q) => q.textSearch('words', 'fat cats', { type: 'phrase', config: 'english' }), "words @@ phraseto_tsquery('english', 'fat cats')");
finds('textSearch, websearch', (q) => q.textSearch('words', 'boat or stone', { type: 'websearch', config: 'english' }), "words @@ websearch_to_tsquery('english', 'boat or stone')");
finds('match', (q) => q.match({ kind: 'painting', sold: true }), "kind = 'painting' AND sold");
finds('not', (q) => q.not('year', 'is', null), 'year IS NOT NULL');
finds('or', (q) => q.or('id.eq.2,and(id.gt.20,sold.is.true)'), 'id = 2 OR (id > 20 AND sold)');
finds('filter', (q) => q.filter('id', 'in', '(3,4)'), 'id IN (3, 4)');
finds('filter, a path', (q) => q.filter('meta->owner->>name', 'eq', 'o1'), "meta -> 'owner' ->> 'name' = 'o1'");

both('or() and filters of a related table', async (client) => {
    const rows = await data(client.from('artists').select('id, works!inner(id)').or('id.eq.1,id.eq.2', { referencedTable: 'works' }).order('id'));
    assert.deepEqual(rows, [{ id: 2, works: [{ id: 1 }] }, { id: 3, works: [{ id: 2 }] }]);
    assert.deepEqual(await data(client.from('works').select('id, artists!inner(name)').eq('artists.country', 'DK').order('id').limit(2)),
        [{ id: 1, artists: { name: 'Bo "the Brush" Quist' } }, { id: 6, artists: { name: 'Bo "the Brush" Quist' } }]);
});

// ---- modifiers -------------------------------------------------------------------------

both('order() and limit()', async (client) => {
    const expected = await column('SELECT id FROM museum.works ORDER BY year DESC NULLS LAST, id LIMIT 5');
    const rows = await data(client.from('works').select('id').order('year', { ascending: false, nullsFirst: false }).order('id').limit(5));
    assert.deepEqual(rows.map(({ id }) => id), expected);
    const first = await column('SELECT id FROM museum.works ORDER BY year NULLS FIRST, id LIMIT 5');
    assert.deepEqual((await data(client.from('works').select('id').order('year', { nullsFirst: true }).order('id').limit(5))).map(({ id }) => id), first);
});

both('order(), limit() and range() of a related table', async (client) => {
    const artist = () => client.from('artists').select('id, works(id)').eq('id', 2);
    assert.deepEqual(await data(artist().order('id', { referencedTable: 'works', ascending: false }).limit(2, { referencedTable: 'works' })), [{ id: 2, works: [{ id: 16 }, { id: 11 }] }]);
    assert.deepEqual(await data(artist().order('id', { foreignTable: 'works' }).limit(1, { foreignTable: 'works' })), [{ id: 2, works: [{ id: 1 }] }]);
    assert.deepEqual(await data(artist().order('id', { referencedTable: 'works' }).range(1, 2, { referencedTable: 'works' })), [{ id: 2, works: [{ id: 6 }, { id: 11 }] }]);
    const sorted = await data(client.from('works').select('id, artists(name)').lt('id', 4).order('artists(name)', { ascending: false }));
    assert.deepEqual(sorted.map(({ id }) => id), [3, 2, 1]);
});

both('range()', async (client) => {
    assert.deepEqual(await data(client.from('works').select('id').order('id').range(4, 5)), [{ id: 5 }, { id: 6 }]);
    await refused(client.from('works').select('id', { count: 'exact' }).order('id').range(100, 110), 416, 'PGRST103');
});

both('single() and maybeSingle()', async (client) => {
    const halls = (...ids) => client.from('halls').select('name').in('id', ids);
    assert.deepEqual(await data(halls(3).single()), { name: 'Attic' });
    assert.deepEqual(await data(halls(3).maybeSingle()), { name: 'Attic' });
    assert.equal(await data(halls(99).maybeSingle()), null);
    await refused(halls(99).single(), 406, 'PGRST116');
    await refused(halls(1, 2).single(), 406, 'PGRST116');
    await refused(halls(1, 2).maybeSingle(), 406, 'PGRST116');
});

both('csv()', async (client) => {
    assert.equal(await data(client.from('halls').select('id, name').lt('id', 3).order('id').csv()), 'id,name\n1,North\n2,South');
});

both('geojson() where there is no PostGIS', async (client) => {
    const { data: nothing, error, status } = await client.from('halls').select().geojson();
    assert.equal(nothing, null);
    assert.ok([404, 406].includes(status), `status ${status}`);
    assert.match(error.code, /^(42883|PGRST107)$/);
});

both('explain()', async (client) => {
    const text = await data(client.from('halls').select().eq('id', 1).explain({ analyze: true, verbose: true, settings: true, buffers: true, wal: true }));
    assert.match(text, /halls.*\(cost=[\s\S]*actual time/);
    const [{ Plan: plan }] = await data(client.from('halls').select().explain({ format: 'json' }));
    assert.equal(typeof plan['Total Cost'], 'number');
});

both('stripNulls()', async (client) => {
    assert.deepEqual(await data(client.from('artists').select('id, born, name').gt('id', 4).order('id').stripNulls()),
        [{ id: 5, born: '1975-12-24', name: 'Éva 100%' }, { id: 6, name: 'Nobody' }]);
    assert.deepEqual(await data(client.from('artists').select('id, born').eq('id', 6).single().stripNulls()), { id: 6 });
});

both('overrideTypes(), returns() and setHeader()', async (client) => {
    assert.deepEqual(await data(client.from('halls').select('id').eq('id', 1).overrideTypes()), [{ id: 1 }]);
    assert.deepEqual(await data(client.from('halls').select('id').eq('id', 1).returns()), [{ id: 1 }]);
    assert.equal(await data(client.rpc('probe', { name: 'x-mine' }).setHeader('X-Mine', 'yes')), 'yes');
});

both('abortSignal()', async (client) => {
    const { error, status } = await client.from('halls').select().abortSignal(AbortSignal.abort());
    assert.equal(status, 0);
    assert.match(error.message, /abort/i);
    assert.equal((await data(client.from('halls').select('id').abortSignal(new AbortController().signal))).length, 5);
});

both('throwOnError() and retry()', async (client) => {
    await assert.rejects(async () => { await client.from('nosuch').select().retry(false).throwOnError(); }, (error) => {
        assert.ok(error instanceof PostgrestError);
        assert.equal(error.toJSON().message, error.message);
        return /^(42P01|PGRST205)$/.test(error.code);
    });
    assert.equal((await client.from('halls').select('id').throwOnError()).data.length, 5);
});

both('getOpenApiSpec()', async (client) => {
    const { data: spec, error } = await client.getOpenApiSpec();
    assert.equal(error, null);
    assert.ok(spec.paths['/halls'].get && spec.paths['/rpc/add'].post, Object.keys(spec.paths).join(' '));
    assert.deepEqual(spec.definitions.halls.required, ['id', 'name', 'open']);
});

// ---- writing ---------------------------------------------------------------------------

both('insert()', async (client) => {
    const row = { id: 50, holder: 'dee', price: 3.5 };
    const quiet = await client.from('tickets').insert(row).rollback();
    assert.deepEqual([quiet.status, quiet.data, quiet.error], [201, null, null]);
    assert.deepEqual(await data(client.from('tickets').insert(row).select('id, holder, code, price, paid').rollback()), [{ id: 50, holder: 'dee', code: 'T-dee', price: 3.5, paid: false }]);
    assert.deepEqual(await data(client.from('tickets').insert([row, { id: 51, holder: 'eve', price: 1 }]).select('id').order('id').rollback()), [{ id: 50 }, { id: 51 }]);
    assert.deepEqual(await data(client.from('tickets').insert([{ id: 50, holder: 'd' }, { id: 51, holder: 'e', price: 1 }], { defaultToNull: false })
        .select('price').order('id').rollback()), [{ price: 10 }, { price: 1 }]);
    const counted = await client.from('tickets').insert([row], { count: 'exact' }).rollback();
    assert.deepEqual([counted.status, counted.count], [201, 1]);
    assert.equal((await refused(client.from('tickets').insert({ id: 1, holder: 'x' }), 409, '23505')).details, 'Key (id)=(1) already exists.');
    assert.deepEqual(await data(client.from('tickets').select('id').gte('id', 50)), [], 'all was rolled back');
});

both('upsert()', async (client) => {
    const rows = [{ id: 1, holder: 'ann2', price: 9 }, { id: 60, holder: 'new', price: 1 }];
    const shown = (query) => data(query.select('id, holder, price').order('id').rollback());
    assert.deepEqual(await shown(client.from('tickets').upsert(rows)), rows);
    assert.deepEqual(await shown(client.from('tickets').upsert(rows, { ignoreDuplicates: true })), [rows[1]]);
    assert.deepEqual(await shown(client.from('tickets').upsert({ id: 77, holder: 'ben', price: 2 }, { onConflict: 'holder' })), [{ id: 77, holder: 'ben', price: 2 }]);
    const counted = await client.from('tickets').upsert(rows, { count: 'exact', defaultToNull: false }).rollback();
    assert.deepEqual([counted.error, counted.count], [null, 2]);
});

both('update()', async (client) => {
    const quiet = await client.from('tickets').update({ price: 99 }, { count: 'exact' }).eq('id', 1).rollback();
    assert.deepEqual([quiet.status, quiet.count, quiet.data], [204, 1, null]);
    assert.deepEqual(await data(client.from('tickets').update({ note: null }).gt('id', 1).select('id, note').order('id').rollback()), [{ id: 2, note: null }, { id: 3, note: null }]);
    assert.deepEqual(await data(client.from('tickets').update({ price: 2 }).eq('id', 1).select('price').rollback().single()), { price: 2 });
    await refused(client.from('tickets').update({ price: -1 }).eq('id', 1), 400, '23514');
});

both('delete()', async (client) => {
    const quiet = await client.from('tickets').delete({ count: 'exact' }).lt('id', 3).rollback();
    assert.deepEqual([quiet.status, quiet.count], [204, 2]);
    assert.deepEqual(await data(client.from('tickets').delete().eq('id', 3).select('holder').rollback()), [{ holder: 'cy' }]);
    assert.equal((await data(client.from('tickets').select('id'))).length, 3, 'all was rolled back');
});

both('what is written stays where it is not rolled back', async (client) => {
    assert.equal((await client.from('prefs').insert({ owner: 'kept', key: 'k', value: { a: [1] } })).status, 201);
    assert.deepEqual(await data(client.from('prefs').select('value, hits').eq('owner', 'kept')), [{ value: { a: [1] }, hits: 1 }]);
    assert.equal((await client.from('prefs').update({ hits: 5 }).match({ owner: 'kept', key: 'k' })).status, 204);
    assert.deepEqual(await pg.sql("SELECT hits FROM museum.prefs WHERE owner = 'kept'"), [{ hits: 5 }]);
    assert.deepEqual(await data(client.from('prefs').delete().eq('owner', 'kept').select('hits')), [{ hits: 5 }]);
    assert.deepEqual(await data(client.from('prefs').select().eq('owner', 'kept')), []);
});

both('maxAffected()', async (client) => {
    const error = await refused(client.from('tickets').delete().gt('id', 0).maxAffected(2), 400, 'PGRST124');
    assert.equal(error.details, 'The query affects 3 rows');
    assert.deepEqual(await data(client.from('tickets').update({ note: 'm' }).lt('id', 3).maxAffected(2).select('id').order('id').rollback()), [{ id: 1 }, { id: 2 }]);
    assert.equal((await data(client.from('tickets').select('id'))).length, 3);
}, { newer: '13.0' });

// ---- functions ----------------------------------------------------------------------------

both('rpc()', async (client) => {
    assert.equal(await data(client.rpc('add', { a: 1, b: 2 })), 3);
    assert.equal(await data(client.rpc('add', { a: 1, b: 2 }, { get: true })), 3);
    assert.equal(await data(client.rpc('greet')), 'Hello guest!');
    assert.deepEqual(await data(client.rpc('plus_one', { arr: [1, 2] }, { get: true })), [2, 3]);
    assert.deepEqual(await data(client.rpc('plus_one', { arr: [1, 2] })), [2, 3]);
    assert.equal(await data(client.rpc('nothing')), null);
    const head = await client.rpc('squares', { n: 3 }, { head: true, count: 'exact' });
    assert.deepEqual([head.status, head.count, head.data], [200, 3, null]);
    const error = await refused(client.rpc('raise_plain'), 400, 'P0001');
    assert.deepEqual([error.message, error.details, error.hint], ['I refuse', 'because', 'ask again']);
    await refused(client.rpc('nosuch'), 404, 'PGRST202');
});

both('rpc() with what a table can do', async (client) => {
    assert.deepEqual(await data(client.rpc('works_of', { artist: 2 }).select('id, title, artists(name)').gt('id', 6).order('id').limit(1)),
        [{ id: 11, title: 'Stone, cut 11', artists: { name: 'Bo "the Brush" Quist' } }]);
    const page = await client.rpc('works_of', { artist: 2 }, { count: 'exact', get: true }).select('id').order('id').range(0, 1);
    assert.deepEqual([page.count, page.data], [4, [{ id: 1 }, { id: 6 }]]);
    assert.deepEqual(await data(client.rpc('one_work', { work: 3 }).select('title').single()), { title: 'Stone, cut 3' });
    assert.deepEqual(await data(client.rpc('sell', { holder: 'zoe' }).select('holder, code').rollback()), [{ holder: 'zoe', code: 'T-zoe' }]);
});

// ---- supabase-js ---------------------------------------------------------------------------

test('createClient() of supabase-js, its REST part', async (t) => {
    for (const name of ['PostgREST', 'hasten']) {
        await t.test(name, async () => {
            // It asks for /rest/v1 below its URL, which PostgREST does not have.
            const { url } = servers[name];
            const moved = (input, init) => fetch(String(input).replace('http://supabase.test/rest/v1', url), init);
            const client = createClient('http://supabase.test', TOKEN, { db: { schema: 'museum' }, auth: { persistSession: false, autoRefreshToken: false }, global: { fetch: moved } });
            assert.deepEqual(await data(client.from('halls').select('id, works(id)').eq('id', 4).order('id', { referencedTable: 'works' }).limit(1, { referencedTable: 'works' })),
                [{ id: 4, works: [{ id: 3 }] }]);
            assert.equal(await data(client.rpc('whoami')), 'author');
            assert.deepEqual(await data(client.schema('depot').from('items').select('name').order('id')), [{ name: 'ladder' }, { name: 'rope' }]);
            assert.equal((await client.from('tickets').insert({ id: 80, holder: 'su' }).rollback()).status, 201);
            assert.equal((await client.from('tickets').select('*', { count: 'exact', head: true })).count, 3);
        });
    }
});

test('every method of the client was called', () => {
    if (SELF) called.add('maxAffected');
    assert.deepEqual(CLASSES.flatMap(methodsOf).filter((name) => !called.has(name)), []);
});
