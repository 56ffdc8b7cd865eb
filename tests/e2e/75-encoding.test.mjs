// SPDX-License-Identifier: Apache-2.0
// Content codings (D2): kept answers are compressed once and served in every coding, with tags, Vary and 304s to match.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, test } from 'node:test';
import zlib from 'node:zlib';
import { Hasten, SECRET, exampleConfig } from './harness/hasten.mjs';
import { now, sign } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { waitUntil } from './harness/util.mjs';

const DB = 'clients_plus';
const DECODE = { gzip: zlib.gunzipSync, br: zlib.brotliDecompressSync, zstd: zlib.zstdDecompressSync };
const CODINGS = Object.keys(DECODE);
const TOKEN = sign({ role: 'member', company_id: 1, exp: now(3600) }, SECRET);
let pg, server;

const sql = (text) => pg.sql(text, { db: DB });

/** One request, nothing decoded: {status, headers, bytes}. Node's http adds no Accept-Encoding. */
async function raw(path, headers = {}, { method = 'GET', from = server } = {}) {
    const request = http.request(`${from.url}/api/v1/${path}`, { method, headers: { authorization: `Bearer ${TOKEN}`, ...headers } }).end();
    const [answer] = await once(request, 'response');
    return { status: answer.statusCode, headers: answer.headers, bytes: Buffer.concat(await answer.toArray()) };
}

const accept = (codings, more) => ({ 'accept-encoding': codings, ...more });

/** Asks until it comes from the cache, in that coding. */
const kept = (path, coding, options) => waitUntil(async () => {
    const answer = await raw(path, coding ? accept(coding) : {}, options);
    assert.equal(answer.status, 200, answer.bytes.toString());
    return answer.headers['x-cache'] === 'HIT' && answer.headers['content-encoding'] === coding && answer;
}, { what: `${path} to be kept as ${coding}` });

const textOf = ({ headers, bytes }) => {
    const coding = headers['content-encoding'];
    return (coding ? DECODE[coding](bytes) : bytes).toString();
};

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.installFeed();
    await sql(`CREATE TABLE api.notes (id integer PRIMARY KEY, body text);
        INSERT INTO api.notes SELECT i, repeat('note ' || i || ' ', 40) FROM generate_series(1, 1000) i;
        INSERT INTO api.notes VALUES (0, 'short');
        GRANT SELECT ON api.notes TO viewer, member; GRANT INSERT, UPDATE, DELETE ON api.notes TO member`);
    server = await Hasten.start(exampleConfig(pg, { 'server.workers': 2 }));
});
after(async () => {
    await server?.stop();
    await pg?.close();
});

test('one answer in every coding: the same text, tags and lengths of their own, each kept', async () => {
    for (const path of ['notes?limit=20', 'notes?limit=500', 'notes/7?fields=id,body']) {
        const identity = await kept(path);
        const tags = new Set([identity.headers.etag]);
        for (const coding of identity.bytes.length >= 1024 ? CODINGS : []) {
            const answer = await kept(path, coding);
            assert.equal(textOf(answer), identity.bytes.toString(), `${path} ${coding}`);
            assert.equal(answer.headers.etag, identity.headers.etag.replace(/"$/, `-${coding}"`));
            assert.equal(answer.headers['content-length'], String(answer.bytes.length));
            assert.ok(answer.bytes.length < identity.bytes.length * 0.9);
            assert.equal(answer.headers['content-type'], identity.headers['content-type']);
            assert.deepEqual((await raw(path, accept(coding))).bytes, answer.bytes);
            tags.add(answer.headers.etag);
        }
        assert.equal(tags.size, identity.bytes.length >= 1024 ? 4 : 1);
        assert.equal((await raw(path)).bytes.toString(), identity.bytes.toString());
    }
});

test('curl and fetch, with what they send of themselves', async () => {
    const path = 'notes?limit=30';
    const identity = await kept(path);
    const url = `${server.url}/api/v1/${path}`;
    const options = ['-sg', '-H', `Authorization: Bearer ${TOKEN}`];
    assert.equal(execFileSync('curl', [...options, '--compressed', url]).toString(), identity.bytes.toString());
    assert.match(execFileSync('curl', [...options, '--compressed', '-D', '-', '-o', '/dev/null', url]).toString(), /^content-encoding: (br|zstd|gzip)\r$/im);
    const answer = await server.get(`/api/v1/${path}`, { token: TOKEN });
    assert.equal(answer.text, identity.bytes.toString());
    assert.equal(answer.headers.get('content-encoding'), 'gzip');
});

test('Vary names Accept-Encoding where there are codings: on misses, hits, 304s and identity; not below the minimum', async () => {
    for (const [path, vary] of [['notes?limit=21', 'Accept, Accept-Encoding'], ['notes/0', undefined], ['notes?id=0', 'Accept']]) {
        const first = await raw(path);
        assert.equal(first.headers.vary, vary, path);
        assert.equal((await kept(path)).headers.vary, vary);
        const coded = await raw(path, accept('gzip'));
        assert.equal(coded.headers.vary, vary);
        assert.equal(coded.headers['content-encoding'], vary?.includes('Encoding') ? 'gzip' : undefined);
        const known = await raw(path, accept('gzip', { 'if-none-match': coded.headers.etag }));
        assert.equal(known.status, 304);
        assert.equal(known.headers.vary, vary);
    }
});

test('304: for the tag of the coding that the client would get, or of identity; for no other', async () => {
    const path = 'notes?limit=22';
    const { etag } = (await kept(path)).headers;
    const tags = Object.fromEntries(CODINGS.map((coding) => [coding, etag.replace(/"$/, `-${coding}"`)]));
    for (const coding of CODINGS) {
        // Found by the tag: also where nobody has asked for the coding yet.
        const known = await raw(path, accept(coding, { 'if-none-match': `"other", W/${tags[coding]}` }));
        assert.equal(known.status, 304, coding);
        assert.equal(known.headers.etag, tags[coding]);
        assert.equal(known.headers['content-encoding'], undefined);
        assert.equal(known.bytes.length, 0);
        await kept(path, coding);
        assert.equal((await raw(path, accept(coding, { 'if-none-match': tags[coding] }))).status, 304);
        const asItIs = await raw(path, accept(coding, { 'if-none-match': etag }));
        assert.equal(asItIs.status, 304);
        assert.equal(asItIs.headers.etag, etag);
        for (const other of CODINGS.filter((it) => it !== coding)) {
            const answer = await raw(path, accept(coding, { 'if-none-match': tags[other] }));
            assert.equal(answer.status, 200);
            assert.equal(answer.headers.etag, tags[coding]);
        }
        assert.equal((await raw(path, { 'if-none-match': tags[coding] })).status, 200);
    }
    assert.equal((await raw(path, accept('br', { 'if-none-match': '*' }))).status, 304);
});

test('weights decide, and what is not accepted is not sent', async () => {
    const path = 'notes?limit=23';
    for (const coding of CODINGS) await kept(path, coding);
    for (const [value, coding] of [
        ['gzip, deflate', 'gzip'], ['gzip, deflate, br, zstd', 'br'], ['gzip;q=1.0, br;q=0.5', 'gzip'], ['*', 'br'], ['*, br;q=0', 'zstd'],
        ['identity, gzip;q=0.5', undefined], ['deflate', undefined], ['gzip;q=0', undefined], ['', undefined], ['identity;q=0', undefined], ['identity;q=0, *;q=0.1', 'br'],
        [['br;q=0.1', 'zstd;q=0.2'], 'zstd'],
    ]) {
        const answer = await raw(path, accept(value));
        assert.equal(answer.headers['x-cache'], 'HIT');
        assert.equal(answer.headers['content-encoding'], coding, String(value));
    }
});

test('HEAD says what GET would: coding, tag and length', async () => {
    const path = 'notes?limit=24';
    for (const coding of [undefined, ...CODINGS]) {
        const get = await kept(path, coding);
        const head = await raw(path, coding ? accept(coding) : {}, { method: 'HEAD' });
        for (const name of ['content-encoding', 'content-length', 'etag', 'vary']) assert.equal(head.headers[name], get.headers[name], name);
        assert.equal(head.bytes.length, 0);
    }
});

test('a change drops the answer in all its codings at once', async () => {
    const list = 'notes?id[gte]=9&limit=10';
    for (const coding of [undefined, ...CODINGS]) await kept(list, coding);
    await sql("UPDATE api.notes SET body = repeat('changed ', 50) WHERE id = 9");
    await waitUntil(async () => textOf(await raw(list)).includes('changed'), { what: 'the change' });
    for (const coding of CODINGS) assert.ok(textOf(await raw(list, accept(coding))).includes('changed'), coding);
    const next = await kept(list);
    for (const coding of CODINGS) {
        const answer = await kept(list, coding);
        assert.equal(textOf(answer), next.bytes.toString());
        assert.equal(answer.headers.etag, next.headers.etag.replace(/"$/, `-${coding}"`));
    }
});

test('a write takes the tag of any coding in If-Match', async () => {
    await sql("INSERT INTO api.notes VALUES (5000, repeat('long ', 500))");
    for (const coding of [undefined, ...CODINGS]) {
        const { etag } = (await kept('notes/5000', coding)).headers;
        assert.match(etag, coding ? new RegExp(`^"\\d+-[0-9a-f]{16}-${coding}"$`) : /^"\d+-[0-9a-f]{16}"$/);
        const patch = () => server.get('/api/v1/notes/5000', { method: 'PATCH', token: TOKEN,
            headers: { 'content-type': 'application/json', 'if-match': etag }, body: JSON.stringify({ body: `${coding} `.repeat(400) }) });
        assert.equal((await patch()).status, 200, coding);
        assert.equal((await patch()).status, 412, coding);
    }
});

test('a long answer is compressed aside: the first who ask get it as it is', async () => {
    const list = 'notes?limit=900';
    await kept(list);
    const first = await raw(list, accept('zstd'));
    assert.equal(first.headers['content-encoding'], undefined);
    assert.ok(first.bytes.length > 16384);
    await kept(list, 'zstd');
});

test('many at once for many codings: whole answers, whoever makes them', async () => {
    const path = 'notes?limit=700&sort=-id';
    const { bytes } = await kept(path);
    const answers = await Promise.all(Array.from({ length: 60 }, (_, i) => raw(path, accept(CODINGS[i % 3]))));
    for (const answer of answers) assert.equal(textOf(answer), bytes.toString());
});

test('parts of a batch are never coded, though they may say that they accept it', async () => {
    const path = 'notes?limit=25';
    await kept(path, 'gzip');
    const answer = await server.get('/api/v1/batch', { method: 'POST', token: TOKEN, headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ requests: [{ method: 'GET', path: `/api/v1/${path}`, headers: { 'accept-encoding': 'gzip' } }] }) });
    assert.equal(answer.status, 200, answer.text);
    assert.ok(answer.text.includes('note 3 note 3'));
});

test('options: the minimum, what is not kept, and none of it', async () => {
    const seen = async (options) => {
        const one = await Hasten.start(exampleConfig(pg, { 'server.workers': 1, ...options }));
        const ask = async () => {
            const { headers } = await raw('notes?limit=20', accept('gzip'), { from: one });
            return [headers['x-cache'], headers['content-encoding'], headers.vary];
        };
        const answers = [await ask()];
        await waitUntil(async () => (await raw('notes?limit=20', {}, { from: one })).headers['x-cache'] === 'HIT', { what: 'a hit' });
        answers.push(await ask());
        await one.stop();
        return answers.map(([, ...rest]) => rest);
    };
    assert.deepEqual(await seen({ 'server.compress.uncached': true }), [['gzip', 'Accept, Accept-Encoding'], ['gzip', 'Accept, Accept-Encoding']]);
    assert.deepEqual(await seen({}), [[undefined, 'Accept, Accept-Encoding'], ['gzip', 'Accept, Accept-Encoding']]);
    const none = [[undefined, 'Accept'], [undefined, 'Accept']];
    assert.deepEqual(await seen({ 'server.compress.enabled': false, 'server.compress.uncached': true }), none);
    assert.deepEqual(await seen({ 'server.compress.min': '1MiB' }), none);
});

test('without a cache: codings only where each answer may be compressed anew', async () => {
    for (const uncached of [true, false]) {
        const one = await Hasten.start(exampleConfig(pg, { 'cache.enabled': false, 'server.compress.uncached': uncached }));
        const { headers, bytes } = await raw('notes?limit=20', accept('br'), { from: one });
        assert.equal(headers['content-encoding'], uncached ? 'br' : undefined);
        assert.equal(headers.vary, uncached ? 'Accept, Accept-Encoding' : 'Accept');
        assert.equal(JSON.parse(textOf({ headers, bytes })).data.length, 20);
        const known = await raw('notes?limit=20', accept('br', { 'if-none-match': headers.etag }), { from: one });
        assert.equal(known.status, 304);
        assert.equal(known.headers.etag, headers.etag);
        const long = await raw('notes?limit=500', accept('br'), { from: one });
        assert.equal(long.headers['content-encoding'], undefined);
        await one.stop();
    }
});
