// SPDX-License-Identifier: Apache-2.0
// Full text in several languages (A7): two languages in one index, a language for each row and for each request,
// accents, prefixes, rank, snippets; in both dialects, with an index, and kept like other answers.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, exampleConfig } from './harness/hasten.mjs';
import { Pg } from './harness/pg.mjs';
import { newSeed, random, waitUntil } from './harness/util.mjs';

const DB = 'clients_plus';
let pg, server;

const e = encodeURIComponent;
const sql = (text, values) => pg.sql(text, { db: DB, values });
const get = (where, options) => server.get(`/api/v1/${where}`, options);
const ok = async (where) => {
    const answer = await get(where);
    assert.equal(answer.status, 200, `${where}: ${answer.text}`);
    return answer.body;
};
const ids = async (where) => (await ok(where)).data.map(({ id }) => id);
const found = async (table, words, more = '') => (await ids(`${table}?limit=1000&fields=id&search=${e(words)}${more}`)).sort((a, b) => a - b);
const idsOf = async (text, values) => (await sql(text, values)).map(({ id }) => id).sort((a, b) => a - b);

const PREPARE = `
CREATE EXTENSION unaccent SCHEMA public;
CREATE TEXT SEARCH CONFIGURATION api."Plain fr" (COPY = french);
ALTER TEXT SEARCH CONFIGURATION api."Plain fr" ALTER MAPPING FOR hword, hword_part, word WITH public.unaccent, french_stem;
CREATE TEXT SEARCH CONFIGURATION public.twin (COPY = simple);
CREATE TEXT SEARCH CONFIGURATION api.twin (COPY = german);

-- Two languages in one index, as a list of workshops in English and Russian has them.
CREATE TABLE api.workshops (
    id integer PRIMARY KEY, title_en text NOT NULL, title_ru text NOT NULL, body text, seats integer NOT NULL DEFAULT 0,
    fts tsvector GENERATED ALWAYS AS (setweight(to_tsvector('english', title_en), 'A')
        || setweight(to_tsvector('russian', title_ru), 'A') || to_tsvector('english', coalesce(body, '')) || to_tsvector('russian', coalesce(body, ''))) STORED);
INSERT INTO api.workshops (id, title_en, title_ru, body) VALUES
    (1, 'Training models', 'Обучение моделей', 'We trained many models. Мы обучали модели.'),
    (2, 'Prompting for writers', 'Подсказки для писателей', 'Writing prompts, writing more prompts, and writing them better.'),
    (3, 'Cats and dogs', 'Кошки и собаки', 'Telling cats from dogs with <script>alert("a")</script> & a camera'),
    (4, 'Cats alone', 'Кошки без собак', NULL),
    (5, 'Drawing cats', 'Рисуем кошку', 'Cats, cats, cats: a cat in every picture.'),
    (6, 'Annotations', 'Разметка данных', 'Anna annotates. It''s a "quoted" \\\\ text.');
INSERT INTO api.workshops (id, title_en, title_ru, body)
    SELECT i, 'Filler ' || i, 'Запас ' || i, repeat('padding ', 20) || i FROM generate_series(100, 5000) i;
CREATE INDEX workshops_fts ON api.workshops USING gin (fts);

-- A language for each row.
CREATE TABLE api.articles (
    id integer PRIMARY KEY, lang regconfig NOT NULL CHECK (lang IN ('english'::regconfig, 'german'::regconfig)), body text NOT NULL,
    fts tsvector GENERATED ALWAYS AS (to_tsvector(lang, body)) STORED);
INSERT INTO api.articles VALUES (1, 'english', 'The houses are running'), (2, 'german', 'Die Häuser laufen'), (3, 'english', 'A house with dogs'),
    (4, 'german', 'Das Haus ohne run'), (5, 'english', 'No die was cast'), (6, 'german', 'Eine Katze, kein Hund');
INSERT INTO api.articles SELECT i, (CASE WHEN i % 2 = 0 THEN 'english' ELSE 'german' END)::regconfig, repeat('padding ', 20) || i FROM generate_series(100, 5000) i;
CREATE INDEX articles_fts ON api.articles USING gin (fts);

-- The same, but nothing says which languages there are.
CREATE TABLE api.letters (id integer PRIMARY KEY, lang regconfig NOT NULL, body text NOT NULL, fts tsvector GENERATED ALWAYS AS (to_tsvector(lang, body)) STORED);
INSERT INTO api.letters SELECT id, lang, body FROM api.articles WHERE id < 100;
INSERT INTO api.letters VALUES (7, 'french', 'Les maisons courent');
CREATE INDEX ON api.letters USING gin (fts);

-- Without accents.
CREATE TABLE api.menus (id integer PRIMARY KEY, dish text NOT NULL, fts tsvector GENERATED ALWAYS AS (to_tsvector('api."Plain fr"', dish)) STORED);
INSERT INTO api.menus VALUES (1, 'Crème brûlée'), (2, 'Creme anglaise'), (3, 'Pâtés variés');
CREATE INDEX ON api.menus USING gin (fts);

GRANT SELECT ON api.workshops, api.articles, api.letters, api.menus TO viewer, member;
ANALYZE api.workshops, api.articles;
ALTER DATABASE ${DB} SET session_preload_libraries = 'auto_explain';
ALTER DATABASE ${DB} SET auto_explain.log_min_duration = 0;
`;

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.installFeed();
    await sql(PREPARE);
    server = await Hasten.start(exampleConfig(pg, {
        'rest.enabled': true, 'rest.path': '/rest/v1', 'api.search': ['services: name, category'], 'server.workers': 1, 'database.catalog.poll': '200ms' }));
});
after(async () => {
    await server?.stop();
    await pg?.close();
});

/** The plan of the last statement whose text matches, as PostgreSQL logged it, up to the next one. */
async function planOf(where, pattern) {
    const from = pg.log.length;
    await ok(where);
    return waitUntil(() => pg.log.slice(from).split('Query Text: ').find((text) => pattern.test(text)), { what: `a plan of ${where}` });
}

test('two languages in one index: words of either, by the index', async () => {
    assert.deepEqual(await found('workshops', 'trained'), [1]);
    assert.deepEqual(await found('workshops', 'обучения'), [1]);
    assert.deepEqual(await found('workshops', 'model'), [1]);
    assert.deepEqual(await found('workshops', 'кошка'), [3, 4, 5]);
    assert.deepEqual(await found('workshops', '"drawing cats" or "cats alone"'), [4, 5]);
    assert.match(await planOf('workshops?fields=id&search=training', /FROM "api"."workshops"/), /Bitmap Index Scan on workshops_fts/);
    assert.match(await planOf('workshops?fields=id&search=cats&count=exact&sort=-_rank', /FROM "api"."workshops"/), /Bitmap Index Scan on workshops_fts/);
});

test('what must not be there is left out in every language', async () => {
    assert.deepEqual(await found('workshops', 'cats -dogs'), [4, 5]);
    assert.deepEqual(await found('workshops', 'кошки -собака'), [5]);
    assert.deepEqual(await found('workshops', 'cats -собаки'), [5]);
    assert.deepEqual(await found('workshops', 'cats -dogs -drawing or prompt -nothing'), [2, 4]);
    assert.equal((await found('workshops', '-filler')).length, 6);
});

test('the language of each row decides, by the index where a CHECK names the languages', async () => {
    const own = (words) => idsOf('SELECT id FROM api.articles WHERE fts @@ websearch_to_tsquery(lang, $1)', [words]);
    for (const words of ['house', 'Haus', 'Häuser', 'running', 'laufen', 'die', 'dogs', 'house -dogs', 'Haus -Hund', 'houses or Häuser', '-padding'])
        assert.deepEqual(await found('articles', words), await own(words), words);
    assert.deepEqual(await found('articles', 'häuser'), [2, 4]);
    assert.deepEqual(await found('articles', 'running'), [1], 'in a German text "run" is no form of "running"');
    assert.match(await planOf('articles?fields=id&search=house', /FROM "api"."articles"/), /Bitmap Index Scan on articles_fts/);
    assert.deepEqual(await found('letters', 'maison'), [7]);
    assert.deepEqual(await found('letters', 'häuser'), [2, 4]);
});

test('the language of the request', async () => {
    assert.deepEqual(await found('articles', 'häuser', '&searchLang=german'), [2, 4]);
    assert.deepEqual(await found('articles', 'häuser', '&searchLang=english'), []);
    assert.deepEqual(await found('articles', 'häuser', '&searchLang=pg_catalog.german'), [2, 4]);
    assert.deepEqual(await found('articles', 'häuser', '&searchLang=api.twin'), [2, 4]);
    assert.match(await planOf('articles?fields=id&search=dogs&searchLang=english', /FROM "api"."articles"/), /Bitmap Index Scan on articles_fts/);
});

test('accents do not count where the configuration says so', async () => {
    assert.deepEqual(await found('menus', 'creme brulee'), [1]);
    assert.deepEqual(await found('menus', 'crème'), [1, 2]);
    assert.deepEqual(await found('menus', 'PATE'), [3]);
    assert.deepEqual(await found('menus', 'brul*'), [1]);
    assert.deepEqual(await found('menus', 'crème', '&searchLang=Plain fr'), [1, 2]);
});

test('prefixes; nothing that somebody types is an error', async () => {
    assert.deepEqual(await found('workshops', 'ann*'), [6]);
    assert.deepEqual(await found('workshops', 'cat* -draw*'), [3, 4]);
    assert.deepEqual(await found('workshops', 'обуч*'), [1]);
    assert.deepEqual(await found('workshops', 'ann* or prompt*'), [2, 6]);
    assert.deepEqual(await found('articles', 'häus*'), await idsOf(`SELECT id FROM api.articles WHERE fts @@ to_tsquery(lang, 'häus:*')`));
    assert.match(await planOf('workshops?fields=id&search=ann*&sort=-_rank', /FROM "api"."workshops"/), /Bitmap Index Scan on workshops_fts/);
    const odd = ["it's*", "'*", '\\*', "a\\' | b:*", '*', '**', '-*', '"', '"*', '-"', '--x*', "')*", '!a* & (b', 'a:*B*', '<->*', 'or', 'or or*', 'x* or', '- -', "''':*'*", 'ё*', '😀*', "o'brien's\\*"];
    for (const words of odd) for (const table of ['workshops', 'articles', 'menus']) await ok(`${table}?fields=id&search=${e(words)}`);
    await ok(`services?search=${e('cut*')}`);
    assert.deepEqual(await ids('services?limit=100&search=a*'), await ids('services?limit=100&search=a'));
});

test('what is taken apart here means what websearch_to_tsquery() means', async () => {
    const seed = newSeed();
    const chance = random(seed);
    const WORDS = ['creme', 'brulee', 'anglaise', 'pates', 'varies', "l'anglaise", 'creme-brulee', 'Or-ange', 'les'];
    const term = () => {
        const word = chance.pick(WORDS);
        return `${chance.chance(0.25) ? '-' : ''}${chance.chance(0.3) ? `"${word} ${chance.pick(WORDS)}"` : word}`;
    };
    for (let i = 0; i < 150; i++) {
        let words = term();
        for (let n = chance.int(4); n > 0; n--) words += `${chance.pick([' ', '  ', ' or ', ' OR '])}${term()}`;
        assert.deepEqual(await found('menus', `zzzz* or ${words}`), await found('menus', words), `${words} (seed ${seed})`);
    }
});

test('rank: the order, the number, pages and cursors', async () => {
    const expected = await sql(`SELECT id, ts_rank_cd(fts, q) AS _rank FROM api.workshops, LATERAL (SELECT websearch_to_tsquery('english', 'cats') || websearch_to_tsquery('russian', 'cats') q) q
        WHERE fts @@ q ORDER BY 2 DESC, 1 DESC`);
    const { data } = await ok('workshops?search=cats&sort=-_rank&fields=id,_rank');
    assert.deepEqual(data, expected);
    assert.equal(data.length, 3);
    assert.ok(data[0]._rank > data[2]._rank);
    for (const more of ['', '&count=exact', '&include=', '&highlight=body']) {
        const walked = [];
        let page = await ok(`workshops?search=cats&sort=-_rank&limit=1&fields=id${more.replace('&include=', '')}`);
        for (;;) {
            walked.push(page.data[0].id);
            if (!page.pagination.nextCursor) break;
            page = await ok(`workshops?search=cats&sort=-_rank&limit=1&fields=id${more.replace('&include=', '')}&cursor=${page.pagination.nextCursor}`);
        }
        assert.deepEqual(walked, expected.map(({ id }) => id));
        const back = await ok(`workshops?search=cats&sort=-_rank&limit=2&fields=id&cursor=${page.pagination.prevCursor}`);
        assert.deepEqual(back.data.map(({ id }) => id), expected.slice(0, 2).map(({ id }) => id));
    }
    assert.deepEqual(await ids('workshops?search=cats&sort=_rank,id'), (await sql(`SELECT id FROM api.workshops, LATERAL (SELECT websearch_to_tsquery('english', 'cats') q) q WHERE fts @@ q ORDER BY ts_rank_cd(fts, q), id`)).map(({ id }) => id));
    const own = await sql(`SELECT id FROM api.articles, LATERAL (SELECT websearch_to_tsquery(lang, 'haus or house') q) q WHERE fts @@ q ORDER BY ts_rank_cd(fts, q) DESC, id DESC`);
    assert.deepEqual(await ids(`articles?search=${e('haus or house')}&sort=-_rank`), own.map(({ id }) => id));
    const anna = 'clients?search=anna&sort=-_rank&limit=3&fields=id';
    const related = (await ok(`${anna}&include=company&count=exact`)).data;
    assert.ok(related.length === 3 && related.every(({ company }) => company.id));
    assert.deepEqual(related.map(({ id }) => id), await ids(anna));
    const { pagination } = await ok('workshops?search=cats&sort=-_rank&limit=1');
    for (const other of ['search=dogs', 'search=cats&searchLang=english'])
        assert.equal((await get(`workshops?${other}&sort=-_rank&limit=1&cursor=${pagination.nextCursor}`)).body.code, 'bad_cursor');
});

test('snippets: found words are marked, all else is text', async () => {
    const one = async (where) => (await ok(where)).data[0];
    const cats = await one('workshops?id=3&search=cats&highlight=titleEn,body,titleRu&fields=id');
    assert.deepEqual(Object.keys(cats), ['id', '_highlight']);
    assert.equal(cats._highlight.titleEn, '<mark>Cats</mark> and dogs');
    assert.match(cats._highlight.body, /^Telling <mark>cats<\/mark> from dogs with .*&amp; a camera$/);
    assert.doesNotMatch(cats._highlight.body.replace(/<\/?mark>/g, ''), /[<>]/);
    assert.equal(cats._highlight.titleRu, 'Кошки и собаки');
    assert.equal((await one('workshops?id=3&search=собака&highlight=titleRu'))._highlight.titleRu, 'Кошки и <mark>собаки</mark>');
    assert.equal((await one('workshops?id=4&search=cats&highlight=body'))._highlight.body, null);
    assert.equal((await one('workshops?id=6&search=ann*&highlight=body'))._highlight.body.match(/<mark>/g).length, 2);
    assert.equal((await one(`articles?search=${e('häuser')}&highlight=body&sort=id`))._highlight.body, 'Die <mark>Häuser</mark> laufen');
    assert.equal((await one('menus?search=brulee&highlight=dish'))._highlight.dish, 'Crème <mark>brûlée</mark>');
    await sql(`INSERT INTO api.menus VALUES (9, E'\\x02evil\\x03 <mark>tarte</mark> &lt;b&gt;')`);
    assert.equal((await waitUntil(() => one('menus?search=evil&highlight=dish')))._highlight.dish.replace(/ +/g, ' '), '<mark>evil</mark> tarte &amp;lt;b&amp;gt;');
    const lines = (await get('workshops?search=cats&highlight=titleEn&fields=id,_rank&sort=-_rank&limit=all', { headers: { accept: 'application/x-ndjson' } })).text.trim().split('\n').map((line) => JSON.parse(line));
    assert.equal(lines.length, 3);
    assert.match(lines[0]._highlight.titleEn, /<mark>/);
    const csv = (await get('workshops?search=cats&fields=id,_rank&limit=all', { headers: { accept: 'text/csv' } })).text;
    assert.match(csv, /^id,_rank\r?\n3,\d+(\.\d+)?\r?\n/);
});

test('an empty search is no search, and what hangs on it is left out', async () => {
    const page = await ok('workshops?search=&sort=-_rank&highlight=body&fields=id,_rank&limit=2&searchLang=german');
    assert.deepEqual(page.data, [{ id: 1 }, { id: 2 }]);
    assert.deepEqual(await ids('workshops?search=%20&limit=2&fields=id&sort=-id'), [5000, 4999]);
});

test('bad input', async () => {
    const cases = [
        ['workshops?search=a&searchLang=germn', /no text search configuration "germn"/, /"german"/],
        ['workshops?search=a&searchLang=', /no text search configuration ""/, /pg_ts_config/],
        [`workshops?search=a&searchLang=${e("german'; --")}`, /no text search configuration/],
        ['workshops?search=&searchLang=germn', /germn/],
        ['workshops?search=a&searchLang=twin', /more than one schema/, /public\.twin/],
        ['workshops?sort=-_rank', /_rank needs a search/],
        ['workshops?fields=_rank', /_rank needs a search/],
        ['workshops?search=&fields=_rank', /fields names no column/],
        ['workshops?search=a&sort=_rank,-_rank', /twice/],
        ['workshops?highlight=body', /highlight needs a search/],
        ['workshops?search=a&highlight=', /highlight names no column/],
        ['workshops?search=a&highlight=bodi', /no column "bodi"/, /"body"/],
        ['workshops?search=a&highlight=body,body', /twice/],
        ['workshops?search=a&highlight=seats', /highlight is for text; "seats" is/],
        ['services?search=a&sort=-_rank', /_rank is not possible for services/],
        ['services?search=a&highlight=name', /highlight is not possible/],
        ['services?search=a&searchLang=german', /searchLang is not possible/],
        ['workshops/1?highlight=body', /"highlight" is not possible here/],
        ['workshops/1?fields=_rank', /no column "_rank"/],
        [`workshops?search=${e('a* '.repeat(33))}`, /at most 32 words/],
        [`workshops?search=${e('a '.repeat(33))}-b`, /at most 32 words/],
    ];
    for (const [where, message, hint] of cases) {
        const answer = await get(where);
        assert.equal(answer.status, 400, `${where}: ${answer.text}`);
        assert.match(answer.body.message, message);
        if (hint) assert.match(answer.body.hint, hint);
    }
    await ok(`workshops?search=${e('a '.repeat(100))}`);
    await ok(`workshops?search=${e('a* '.repeat(32))}`);
});

test('such answers are kept, and forgotten when a row changes', async () => {
    const where = 'workshops?search=prompts&searchLang=english&sort=-_rank&fields=id,_rank&highlight=body';
    const isHit = async () => (await get(where)).headers.get('x-cache') === 'HIT';
    await waitUntil(isHit, { what: 'the answer to be kept' });
    await sql(`UPDATE api.workshops SET body = 'One prompt' WHERE id = 2`);
    const changed = await waitUntil(async () => {
        const { body: { data } } = await get(where);
        return data[0]._highlight.body === 'One <mark>prompt</mark>' && data;
    }, { what: 'the new row' });
    assert.deepEqual(changed, (await sql(`SELECT id, ts_rank_cd(fts, websearch_to_tsquery('english', 'prompts')) AS _rank FROM api.workshops WHERE id = 2`))
        .map((row) => ({ ...row, _highlight: { body: 'One <mark>prompt</mark>' } })));
    await waitUntil(isHit, { what: 'the answer to be kept again' });
    for (const other of ['articles?search=house&highlight=body', 'menus?search=cr*&sort=-_rank'])
        await waitUntil(async () => (await get(other)).headers.get('x-cache') === 'HIT', { what: other });
});

test('both dialects find the same rows', async () => {
    const rest = async (filter) => (await server.get(`/rest/v1/${filter}`)).body.map(({ id }) => id).sort((a, b) => a - b);
    for (const [words, lang] of [['trained models', 'english'], ['cats -dogs', 'english'], ['"drawing cats" or annotate', 'english'], ['кошка', 'russian'], ['собаки -рисуем', 'russian']])
        assert.deepEqual(await rest(`workshops?select=id&fts=wfts(${lang}).${e(words)}`), await found('workshops', words, `&searchLang=${lang}`), words);
    assert.deepEqual(await rest(`workshops?select=id&fts=fts(english).${e("ann:*")}`), await found('workshops', 'ann*', '&searchLang=english'));
    assert.deepEqual(await rest(`articles?select=id&fts=fts(german).${e('häus:* | hund')}`), await found('articles', 'häus* or hund', '&searchLang=german'));
    assert.deepEqual(await rest(`workshops?select=id&or=(fts.wfts(english).cats,fts.wfts(russian).cats)`), await found('workshops', 'cats'));
});
