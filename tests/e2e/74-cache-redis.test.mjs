// SPDX-License-Identifier: Apache-2.0
// The shared tier (B2): two nodes on one database and one Redis. What one node has kept the other serves, both forget
// it with the same change, and whatever happens to Redis requests go on and nothing false is believed.

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Hasten, exampleConfig } from './harness/hasten.mjs';
import { Pg } from './harness/pg.mjs';
import { Redis } from './harness/redis.mjs';
import { waitUntil } from './harness/util.mjs';

const DB = 'clients_plus';
const NOTES = 400;
let pg, redis, a, b;
let last = 0;

const sql = (text) => pg.sql(text, { db: DB });
const said = (answer) => `${answer.headers.get('x-cache')} ${answer.headers.get('cache-status')}`;
const SHARED = 'HIT hasten; hit; detail=shared';
const KEPT = 'HIT hasten; hit';

async function get(node, id) {
    const answer = await node.get(`/api/v1/notes/${id}`);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.data.id, id);
    return answer;
}

/** A note that nobody has asked for yet. */
const fresh = () => {
    last += 1;
    assert.ok(last <= NOTES, 'more notes are needed');
    return last;
};

/** The sum of a metric over its lines. */
async function metric(node, name) {
    const { text } = await node.get('/metrics');
    const lines = text.split('\n').filter((line) => line.startsWith(`hasten_cache_shared_${name} `));
    assert.equal(lines.length, 1, name);
    return Number(lines[0].split(' ')[1]);
}

const isUp = (node) => waitUntil(async () => await metric(node, 'breaker_open') === 0, { what: 'Redis to be in use' });
const isDown = (node) => waitUntil(async () => await metric(node, 'breaker_open') === 1, { what: 'Redis to be given up' });

/** Asks `node` for notes until it keeps them: it follows the stream, and knows the shape. */
const keeps = (node) => waitUntil(async () => {
    const id = fresh();
    await get(node, id);
    return said(await get(node, id)) === KEPT;
}, { what: 'answers to be kept' });

/** A note that `from` has put into Redis, and `to` has taken from there: {id, answer}. */
async function share(from = a, to = b) {
    let found;
    await waitUntil(async () => {
        const id = fresh();
        const puts = await metric(from, 'put_total');
        const first = await get(from, id);
        await waitUntil(async () => await metric(from, 'put_total') > puts, { what: 'an answer to be put', timeout: 2000 }).catch(() => {});
        const answer = await get(to, id);
        if (said(answer) !== SHARED) return false;
        assert.equal(answer.text, first.text);
        found = { id, answer };
        return true;
    }, { what: 'one node to serve what the other has kept' });
    return found;
}

const config = (extra = {}) => exampleConfig(pg, {
    'api.cursor.secret': 'the secret that all nodes share, long',
    'cache.redis.url': redis.url,
    'cache.redis.timeout': '500ms',
    'cache.redis.retry_max': '200ms',
    'server.workers': 1,
    ...extra,
});

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.installFeed();
    await sql(`CREATE TABLE api.notes (id integer PRIMARY KEY, body text);
        INSERT INTO api.notes SELECT i, 'note ' || i FROM generate_series(1, ${NOTES}) i;
        GRANT SELECT ON api.notes TO viewer, member`);
    redis = await Redis.start();
    [a, b] = await Promise.all([Hasten.start(config()), Hasten.start(config())]);
    await Promise.all([keeps(a), keeps(b)]);
});
beforeEach(async () => {
    await Promise.all([isUp(a), isUp(b)]);
});
after(async () => {
    await a?.stop();
    await b?.stop();
    await redis?.stop();
    await pg?.close();
});

test('what one node has kept the other serves, from then on by itself', async () => {
    const { id, answer } = await share();
    assert.match(answer.headers.get('age'), /^[01]$/);
    assert.equal(answer.headers.get('cache-control'), 'private, no-cache');
    assert.equal(said(await get(b, id)), KEPT);
    await share(b, a);
});

test('an UPDATE behind hasten\'s back ends it on both nodes and in Redis', async () => {
    const { id } = await share();
    await sql(`UPDATE api.notes SET body = 'changed' WHERE id = ${id}`);
    for (const node of [a, b]) {
        await waitUntil(async () => (await get(node, id)).body.data.body === 'changed', { what: 'the new note', timeout: 2000 });
    }
    const other = fresh();
    await get(a, other);
    await sql(`UPDATE api.notes SET body = 'too late' WHERE id = ${other}`);
    await waitUntil(async () => (await get(b, other)).body.data.body === 'too late', { what: 'the newer note', timeout: 2000 });
});

test('a GRANT that is taken back: what was kept before it is not served again from Redis', async () => {
    const id = fresh();
    await get(a, id);
    await sql('GRANT SELECT ON api.notes TO authenticator');
    const refused = await metric(b, 'refused_epoch_total') + await metric(b, 'misses_total');
    await waitUntil(async () => said(await get(a, id)) !== KEPT, { what: 'the other catalog', timeout: 5000 });
    await sql('REVOKE SELECT ON api.notes FROM authenticator');
    await Promise.all([keeps(a), keeps(b)]);
    assert.notEqual(said(await get(b, id)), SHARED);
    assert.ok(await metric(b, 'refused_epoch_total') + await metric(b, 'misses_total') + await metric(b, 'refused_rule_total') > refused);
    await share();
});

test('FLUSHALL: misses, and all begins anew', async () => {
    const id = fresh();
    await get(a, id);
    await redis.command('FLUSHALL');
    assert.match(said(await get(b, id)), /^MISS/);
    await share();
});

test('rubbish in every key is not believed, and is written over', async () => {
    const id = fresh();
    await get(a, id);
    await waitUntil(async () => Number(await redis.command('DBSIZE')) > 0, { what: 'a key' });
    await redis.fillWithRubbish();
    const refused = await metric(b, 'refused_mac_total');
    const answer = await get(b, id);
    assert.match(said(answer), /^MISS/);
    assert.equal(answer.body.data.body, `note ${id}`);
    assert.equal(await metric(b, 'refused_mac_total'), refused + 1);
    await share();
});

test('values of the wrong type, truncated, swapped, and huge ones', async () => {
    const ids = [fresh(), fresh(), fresh(), fresh(), fresh()];
    await redis.command('FLUSHALL');
    const names = [];
    for (const id of ids) {
        await get(a, id);
        await waitUntil(async () => Number(await redis.command('DBSIZE')) === names.length + 1, { what: 'a key' });
        names.push((await redis.command('KEYS', '*')).split('\n').find((name) => !names.includes(name)));
    }
    assert.match(names[0], /^hasten:[0-9a-f]{32}$/);
    await redis.command('EVAL', `
        redis.call('DEL', KEYS[1]) redis.call('RPUSH', KEYS[1], 'x', 'y')
        redis.call('SET', KEYS[2], string.sub(redis.call('GET', KEYS[2]), 1, -2))
        local third = redis.call('GET', KEYS[3])
        redis.call('SET', KEYS[3], redis.call('GET', KEYS[4])) redis.call('SET', KEYS[4], third)
        redis.call('SETRANGE', KEYS[5], 64 * 1024 * 1024, 'x')`, 5, ...names);
    for (const id of ids) {
        const answer = await get(b, id);
        assert.match(said(answer), /^MISS/);
        assert.equal(answer.body.data.body, `note ${id}`);
    }
    assert.equal(await metric(b, 'breaker_open'), 0, 'no single value may cost the connection');
    await share();
});

test('Redis is full: SET is refused, requests go on', async () => {
    await redis.command('CONFIG', 'SET', 'maxmemory', '1');
    const errors = await metric(a, 'errors_total');
    for (let i = 0; i < 20; i += 1) assert.match(said(await get(a, fresh())), /^MISS/);
    assert.ok(await metric(a, 'errors_total') > errors);
    await redis.command('CONFIG', 'SET', 'maxmemory', '0');
    await isUp(a);
    await share();
});

test('Redis stopped (SIGSTOP): one request waits for the limit, then none; it comes back by itself', async () => {
    redis.signal('SIGSTOP');
    for (const node of [a, b]) {
        const id = fresh();
        assert.equal((await get(node, id)).body.data.body, `note ${id}`);
        await isDown(node);
        const skipped = await metric(node, 'skipped_total');
        await get(node, fresh());
        assert.ok(await metric(node, 'skipped_total') > skipped, 'Redis is not asked');
    }
    redis.signal('SIGCONT');
    await Promise.all([isUp(a), isUp(b)]);
    await share();
});

test('kill -9, requests, restart', async () => {
    await redis.kill9();
    await Promise.all([isDown(a), isDown(b)]);
    for (const node of [a, b]) assert.match(said(await get(node, fresh())), /^MISS/);
    await redis.start();
    await Promise.all([isUp(a), isUp(b)]);
    await share();
});

test('a node with another secret believes nothing of the others, and they nothing of it', async () => {
    const c = await Hasten.start(config({ 'api.cursor.secret': 'another secret than the others have' }));
    try {
        await keeps(c);
        const id = fresh();
        await get(a, id);
        assert.match(said(await get(c, id)), /^MISS/);
        const back = fresh();
        await get(c, back);
        assert.match(said(await get(a, back)), /^MISS/);
    } finally {
        await c.stop();
    }
});

test('a unix socket, an ACL user, a database of its own; the password is not shown', async () => {
    await redis.command('ACL', 'SETUSER', 'hasten', 'on', '>a p@ss/word', '~hasten:*', '+getrange', '+set', '+ping', '+select');
    const url = `unix://hasten:${encodeURIComponent('a p@ss/word')}@${redis.socket}?db=3`;
    const c = await Hasten.start(config({ 'cache.redis.url': url }));
    try {
        await isUp(c);
        await keeps(c);
        await waitUntil(async () => Number(await redis.command('-n', 3, 'DBSIZE')) > 0, { what: 'a key in database 3' });
        assert.ok(!c.logContains('ss/word') && !c.logContains('%2Fword'));
    } finally {
        await c.stop();
    }
});

test('a wrong password: said once, served without', async () => {
    const c = await Hasten.start(config({ 'cache.redis.url': `redis://hasten:wrong@127.0.0.1:${redis.port}` }));
    try {
        await c.waitLog(/redis is down.*WRONGPASS/);
        await keeps(c);
        assert.equal(c.log.match(/redis is down/g).length, 1);
    } finally {
        await c.stop();
    }
});

test('an address that cannot be read: the program does not start, and does not repeat it', async () => {
    const c = new Hasten();
    await c.prepare(config({ 'cache.redis.url': 'rediss://:secret-word@127.0.0.1' }));
    await c.spawn({ ready: false });
    await waitUntil(() => c.how, { what: 'the program to end' });
    await c.stop({ code: 1 });
    assert.ok(c.logContains('redis://user:password@host:port/db'), c.log);
    assert.ok(!c.logContains('secret-word'));
});
