// SPDX-License-Identifier: Apache-2.0
// The cache seen and steered from outside (B7, "seen from outside"): stats, top, purge, explain, warming, metrics,
// health; over the admin socket and with `hasten cache`.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig, hasten } from './harness/hasten.mjs';
import { now, sign } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { tempDir, waitUntil } from './harness/util.mjs';

const DB = 'clients_plus';
let pg, server, socket;

const member = (company, more = {}) => sign({ role: 'member', company_id: company, exp: now(3600), ...more }, SECRET);
const sql = (text) => pg.sql(text, { db: DB });
const said = (answer) => answer.headers.get('x-cache');
const get = (where, options) => server.get(`/api/v1/${where}`, options);

/** A request on the admin socket: {status, body}. */
function ask(method, target, { headers = {}, body } = {}, at = socket) {
    return new Promise((resolve, reject) => {
        const request = http.request({ socketPath: at, method, path: target, headers }, (answer) => {
            let text = '';
            answer.setEncoding('utf8');
            answer.on('data', (more) => { text += more; });
            answer.on('end', () => resolve({ status: answer.statusCode, body: JSON.parse(text) }));
        });
        request.on('error', reject);
        request.end(body && JSON.stringify(body));
    });
}
const purge = async (what) => {
    const { status, body } = await ask('POST', '/admin/cache/purge', { body: what });
    assert.equal(status, 200, JSON.stringify(body));
    return body.data;
};
const explain = async (where, token) => {
    const headers = token ? { authorization: `Bearer ${token}` } : {};
    const { status, body } = await ask('GET', `/admin/cache/explain?url=/api/v1/${where}`, { headers });
    assert.equal(status, 200, JSON.stringify(body));
    return body.data;
};
const cache = (...words) => hasten(['cache', ...words, '--socket', socket]);

/** Asks until the answer is kept. */
async function kept(where, options) {
    return waitUntil(async () => {
        const answer = await get(where, options);
        assert.equal(answer.status, 200, answer.text);
        return said(answer) === 'HIT' && answer;
    }, { what: `${where} to be kept` });
}

async function start(t, settings) {
    const own = await Hasten.start(exampleConfig(pg, { 'server.workers': 2, 'admin.socket': path.join(tempDir('warm'), 'a.sock'), ...settings }));
    t.after(() => own.child && own.kill9());
    return own;
}

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.installFeed();
    await sql(`CREATE TABLE api.notes (id integer PRIMARY KEY, body text, owner text);
        INSERT INTO api.notes SELECT i, 'note ' || i, 'user' || i % 3 FROM generate_series(1, 50) i;
        CREATE TABLE api.mine (id integer PRIMARY KEY, owner text);
        INSERT INTO api.mine SELECT i, 'user' || i % 3 FROM generate_series(1, 9) i;
        ALTER TABLE api.mine ENABLE ROW LEVEL SECURITY;
        CREATE POLICY mine ON api.mine TO member
            USING (owner = (current_setting('request.jwt.claims', true)::json ->> 'sub'));
        CREATE VIEW api.note_bodies AS SELECT id, body FROM api.notes;
        CREATE VIEW api.clock AS SELECT id, now() AS told FROM api.notes;
        GRANT SELECT ON api.notes, api.note_bodies, api.clock TO viewer, member; GRANT SELECT ON api.mine TO member`);
    socket = path.join(tempDir('cache-admin'), 'a.sock');
    server = await Hasten.start(exampleConfig(pg, { 'server.workers': 2, 'admin.socket': socket, 'cache.tables': ['staff: ttl=0s'] }));
});
after(async () => {
    await server?.stop();
    await pg?.close();
});

test('stats: what is kept and what became of requests', async () => {
    const { data: first } = (await ask('GET', '/admin/cache/stats')).body;
    await kept('notes/1');
    const { data } = (await ask('GET', '/admin/cache/stats')).body;
    assert.equal(data.state, 'coherent');
    assert.ok(data.proofAge < 1 && data.tablesFollowed >= 1 && data.fence !== '0/0');
    assert.ok(data.entries > first.entries && data.bytes > first.bytes);
    assert.ok(data.hits > first.hits && data.misses > first.misses && data.hitRatio > 0);
    assert.ok(data.bytes < data.bytesMax && data.entries < data.entriesMax);
});

test('top: the most asked first, with address, role and claims', async () => {
    const token = member(3);
    await kept('clients?limit=2', { token });
    for (let i = 0; i < 40; i++) await get('clients?limit=2', { token });
    const { body } = await ask('GET', '/admin/cache/top?n=2');
    assert.equal(body.data.length, 2);
    assert.ok(body.data[0].hits >= 40 && body.data[0].hits >= body.data[1].hits);
    assert.equal(body.data[0].url, '/api/v1/clients?limit=2');
    assert.equal(body.data[0].role, 'member');
    assert.deepEqual(JSON.parse(body.data[0].claims), { company_id: 3 });
    assert.equal((await ask('GET', '/admin/cache/top?n=0')).status, 400);
    assert.equal((await ask('GET', '/admin/cache/top?m=1')).status, 400);
});

test('purge by table: all that reads it, a view and an include too, and nothing else', async () => {
    await kept('notes/2');
    await kept('notes?limit=3');
    await kept('noteBodies?limit=3');
    await kept('companies?limit=1', { token: member(1) });
    const { entries, bytes, purged } = await purge({ table: 'notes' });
    assert.ok(entries >= 3 && bytes > 0 && purged === 'table', `${entries} entries`);
    assert.notEqual(said(await get('notes/2')), 'HIT');
    assert.notEqual(said(await get('noteBodies?limit=3')), 'HIT');
    assert.equal(said(await get('companies?limit=1', { token: member(1) })), 'HIT');
    assert.match(server.log, /event="cache purged" by=table value=notes entries=\d+ bytes=\d+/);
    await kept('noteBodies?limit=3');
    await kept('notes/2');
    const view = await purge({ table: 'note_bodies' });
    assert.equal(view.entries, 1);
    assert.equal(said(await get('notes/2')), 'HIT', 'the table behind the view stays');
});

test('purge by tenant: its own entries, not those of a longer number, nor of one who only filters by it', async () => {
    const where = 'clients?limit=3&fields=id,companyId';
    for (const company of [1, 10]) await kept(where, { token: member(company) });
    await kept('clients?companyId=1&limit=3', { token: member(10) });
    await kept('clients?search=%22company_id%22%3A1%20%7B%22company_id%22%3A1%7D', { token: member(10) });
    const { entries } = await purge({ tenant: '1' });
    assert.ok(entries >= 1);
    assert.notEqual(said(await get(where, { token: member(1) })), 'HIT');
    assert.equal(said(await get(where, { token: member(10) })), 'HIT');
    assert.equal(said(await get('clients?companyId=1&limit=3', { token: member(10) })), 'HIT');
    assert.equal((await purge({ tenant: 999999 })).entries, 0);
});

test('purge by user, by pattern, of everything; as a query too', async () => {
    const as = (sub) => ({ token: member(1, { sub }) });
    for (const sub of ['user1', 'user2']) await kept('mine', as(sub));
    assert.equal((await purge({ user: 'user1' })).entries, 1);
    assert.equal(said(await get('mine', as('user2'))), 'HIT');
    assert.notEqual(said(await get('mine', as('user1'))), 'HIT');
    await kept('notes/3');
    assert.ok((await purge({ pattern: 'notes *' })).entries >= 1);
    assert.notEqual(said(await get('notes/3')), 'HIT');
    assert.equal(said(await get('mine', as('user2'))), 'HIT');
    await kept('notes/3');
    const { status, body } = await ask('POST', '/admin/cache/purge?all=true');
    assert.ok(status === 200 && body.data.entries >= 2);
    assert.equal((await ask('GET', '/admin/cache/stats')).body.data.entries, 0);
});

test('purges that are not understood purge nothing', async () => {
    await kept('notes/4');
    for (const what of [{}, [], { all: false }, { all: 'yes' }, { table: 'notes', all: true }, { table: '' }, { tenant: {} }, { what: 'x' }, null]) {
        const { status } = await ask('POST', '/admin/cache/purge', { body: what });
        assert.equal(status, 400, JSON.stringify(what));
    }
    assert.equal((await ask('POST', '/admin/cache/purge', { body: { table: 'nothing' } })).status, 404);
    assert.equal((await ask('POST', '/admin/cache/purge')).status, 400);
    assert.equal((await ask('GET', '/admin/cache/purge')).status, 405);
    assert.equal(said(await get('notes/4')), 'HIT');
    assert.equal((await server.get('/admin/cache/stats')).status, 404, 'not on TCP');
});

test('explain: a miss, a hit, what ends it, and that asking changes nothing', async () => {
    const token = member(4);
    const where = 'clients?status=ACTIVE&limit=7';
    // At first the change stream is not asked yet to tell such rows apart.
    const before = await waitUntil(async () => {
        const told = await explain(where, token);
        return told.verdict === 'miss' && told;
    }, { what: 'a miss' });
    assert.equal(before.entry, null);
    assert.match(before.key, /^clients member \{"company_id":4\} /);
    await kept(where, { token });
    const hit = await explain(where, token);
    assert.equal(hit.verdict, 'hit');
    assert.equal(hit.key, before.key);
    assert.match(hit.entry.fence, /^[0-9A-F]+\/[0-9A-F]+$/);
    const tag = hit.tags.find(({ table }) => table === 'api.clients');
    assert.match(tag.columns, /company_id/);
    assert.equal(tag.isCovered, true);
    assert.ok(hit.invalidatedBy.some((text) => /^a change to a row of api\.clients that has, or had, the same .*company_id/.test(text)));
    const again = await explain(where, token);
    assert.equal(again.entry.hits, hit.entry.hits, 'an explanation is no hit');
    assert.notEqual((await explain(where, member(5))).verdict, 'hit', 'another tenant');
    await sql("UPDATE api.clients SET status = 'ACTIVE' WHERE company_id = 4");
    const gone = await waitUntil(async () => {
        const told = await explain(where, token);
        return told.verdict === 'miss' && told;
    }, { what: 'the change' });
    assert.match(gone.why, /^a change to a row of api\.clients .* since the entry was made$/);
    assert.equal(gone.tags.find(({ table }) => table === 'api.clients').isCovered, false);
});

test('explain: why something is not kept at all, and what is asked wrongly', async () => {
    const clock = await explain('clock');
    assert.equal(clock.verdict, 'bypass');
    assert.match(clock.why, /now/);
    assert.equal(clock.key, undefined);
    assert.match((await explain('staff?limit=1', member(1))).why, /time to live is 0/);
    assert.equal((await explain('notes/1')).role, 'viewer');
    const status = async (url, headers) => (await ask('GET', `/admin/cache/explain${url}`, { headers })).status;
    assert.equal(await status(''), 400);
    assert.equal(await status('?url='), 400);
    assert.equal(await status('?url=notes'), 400);
    assert.equal(await status('?url=%2Fapi%2Fv1%2Fno%20tes'), 400);
    assert.equal(await status('?url=%2Fapi%2Fv1%2Fnotes%3Flimit%3D1'), 200);
    assert.equal(await status('?url=/other/notes'), 404);
    assert.equal(await status('?url=/api/v1'), 404);
    assert.equal(await status('?url=/api/v1/nothing'), 404);
    assert.equal(await status('?url=/api/v1/notes?limit=many'), 400);
    assert.equal(await status('?url=/api/v1/notes', { authorization: 'Bearer nonsense' }), 401);
});

test('hasten cache: for people, as JSON, and wrong words', async () => {
    await kept('notes/5');
    const stats = await cache('stats');
    assert.equal(stats.code, 0, stats.stderr);
    assert.match(stats.stdout, /^state +coherent\nproofAge +0\.\d{3}\n/);
    const top = await cache('top', '--n', '3');
    assert.match(top.stdout, /^hits  +bytes +age +left  role .*url\n( *\d+ .*\n){1,3}$/);
    const json = await cache('top', '--json');
    assert.ok(JSON.parse(json.stdout).data.length >= 1);
    const told = await cache('explain', '/api/v1/notes/5');
    assert.match(told.stdout, /^verdict +hit$/m);
    assert.match(told.stdout, /^tags\n  table +columns +tags +changedAt +isRegistered +isCovered\n  api\.notes +id /m);
    const purged = await cache('purge', '--table', 'notes');
    assert.match(purged.stdout, /^purged +table\nvalue +notes\nentries +[1-9]\d*\nbytes +\d+\n$/);
    const fault = await cache('purge', '--table', 'nothing');
    assert.deepEqual([fault.code, JSON.parse(fault.stderr).code], [1, 'unknown_table']);
    for (const words of [[], ['nonsense'], ['purge'], ['purge', '--all', '--table', 'x'], ['explain'], ['explain', 'notes'], ['top', 'more']]) {
        assert.equal((await cache(...words)).code, 2, words.join(' '));
    }
});

test('metrics and health', async () => {
    await kept('notes/6');
    const value = async (name) => Number(new RegExp(`^${name} (\\S+)$`, 'm').exec((await server.get('/metrics')).text)?.[1]);
    await waitUntil(async () => await value('hasten_cache_entries') >= 1, { what: 'the entries' });
    assert.ok(await value('hasten_cache_bytes') > 100);
    assert.ok(await value('hasten_cache_proof_age_seconds') < 1);
    assert.ok(await value('hasten_cache_purged_total') >= 1);
    for (const name of ['flights', 'evicted_total', 'expired_total', 'invalidated_total', 'refused_total', 'warmed_total']) {
        assert.ok(await value(`hasten_cache_${name}`) >= 0, name);
    }
    const { body } = await server.get('/health');
    assert.equal(body.cache.state, 'coherent');
    assert.ok(body.cache.proof_age_ms < 1000);
});

test('without a cache: told so, and as healthy as ever', async (t) => {
    const off = await start(t, { 'cache.enabled': false });
    const at = off.config?.['admin.socket'] ?? JSON.parse(/socket: (".*")/.exec(fs.readFileSync(off.configFile, 'utf8'))[1]);
    for (const what of ['stats', 'top', 'explain?url=/api/v1/notes']) {
        const { status, body } = await ask('GET', `/admin/cache/${what}`, {}, at);
        assert.equal(status, 404);
        assert.match(body.message, /cache\.enabled/);
    }
    const { body } = await off.get('/health');
    assert.deepEqual([body.status, body.cache], ['ok', { state: 'off', proof_age_ms: null }]);
    await off.stop();
});

test('without a change stream: bypassed, and ready', async (t) => {
    const own = await start(t, { 'cache.feed.url': 'postgresql://nobody@127.0.0.1:1/nowhere' });
    const { body } = await own.get('/health');
    assert.equal(body.cache.state, 'bypassed');
    assert.equal((await own.get('/health/ready')).status, 200);
    await own.stop();
});

test('warming: asked at start and after a purge of everything, as whom it says', async (t) => {
    const at = path.join(tempDir('warm'), 'a.sock');
    const own = await start(t, {
        'admin.socket': at,
        'cache.warm': ['/api/v1/notes?limit=4', '/api/v1/clients?limit=4 as member {"company_id":2}', '/api/v1/nothing'],
    });
    await own.waitLog(/event="cache warmed" addresses=3 kept=2/);
    assert.match(own.log, /event="warming failed in part" .*first=\/api\/v1\/nothing/);
    assert.equal(said(await own.get('/api/v1/notes?limit=4')), 'HIT');
    const mine = await own.get('/api/v1/clients?limit=4', { token: member(2) });
    assert.equal(said(mine), 'HIT');
    assert.ok(mine.body.data.length > 0 && mine.body.data.every((row) => row.companyId === 2));
    assert.notEqual(said(await own.get('/api/v1/clients?limit=4', { token: member(3) })), 'HIT');
    assert.equal((await ask('POST', '/admin/cache/purge', { body: { all: true } }, at)).status, 200);
    await waitUntil(() => own.log.match(/event="cache warmed"/g).length === 2, { what: 'the second warming' });
    assert.equal(said(await own.get('/api/v1/notes?limit=4')), 'HIT');
    await own.stop();
});

test('warming: the most asked of the last run, from a file that only its owner may read', async (t) => {
    const file = path.join(tempDir('warm'), 'top');
    const settings = { 'cache.warm_top': 2, 'cache.warm_file': file };
    const first = await start(t, settings);
    const token = member(6);
    const asked = ['/api/v1/clients?limit=6', '/api/v1/clients?limit=5'];
    for (const url of asked) await waitUntil(async () => said(await first.get(url, { token })) === 'HIT', { what: url });
    for (let i = 0; i < 30; i++) for (const url of asked) await first.get(url, { token });
    await waitUntil(async () => said(await first.get('/api/v1/notes/7')) === 'HIT', { what: 'a note' });
    await first.stop();
    assert.equal(fs.statSync(file).mode & 0o777, 0o600);
    const lines = fs.readFileSync(file, 'utf8').trimEnd().split('\n');
    assert.deepEqual(lines.sort(), asked.map((url) => `${url} as member {"company_id":6}`).sort());
    fs.appendFileSync(file, 'not a row\n');
    const second = await start(t, settings);
    await second.waitLog(/event="cache warmed" addresses=2 kept=2/);
    assert.equal(said(await second.get(asked[0], { token })), 'HIT');
    assert.notEqual(said(await second.get('/api/v1/notes/7')), 'HIT');
    await second.stop();
});

test('rows of cache.warm that are wrong are refused', async () => {
    for (const [row, said] of [['notes', /address/], ['/api/v1/notes as nobody', /auth\.roles/], ['/api/v1/notes as member {', /JSON object/]]) {
        const { code, stderr } = await hasten(['config', 'check', '--config', server.configFile, '--set', `cache.warm=${row}`]);
        assert.equal(code, 2, stderr);
        assert.match(stderr, said);
    }
    const { code, stderr } = await hasten(['config', 'check', '--config', server.configFile, '--set', 'cache.warm_top=5']);
    assert.equal(code, 2);
    assert.match(stderr, /cache\.warm_file/);
});
