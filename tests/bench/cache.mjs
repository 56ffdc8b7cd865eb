// SPDX-License-Identifier: Apache-2.0
// Kept answers: what a hit costs beside nginx proxy_cache and HAProxy's cache, what a second worker adds, what the
// change stream does to writes, and what is left when it is cut.
//
// 10,000 answers of about 1 KiB, asked for with a Zipf distribution over 64 connections. The peers stand in front of a
// hasten without a cache, so that all three give the same bytes.

import assert from 'node:assert/strict';
import os from 'node:os';
import { Hasten, exampleConfig } from '../e2e/harness/hasten.mjs';
import { Pg } from '../e2e/harness/pg.mjs';
import { Proxy } from '../e2e/harness/proxy.mjs';
import { sleep, waitUntil } from '../e2e/harness/util.mjs';
import { alternate, cpuPerAnswer, median, pgbenchScript, requestFile, runLoad, startHaproxyCache, startNginxCache } from './lib.mjs';

const DB = 'clients_plus';
const KEYS = 10_000;
const REQUESTS = 50_000;
const EXPONENT = 1;

/** Targets whose ranks follow a Zipf distribution; the order is random already in the generator. */
function zipf(count, keys, exponent) {
    const weights = Array.from({ length: keys }, (_, i) => 1 / (i + 1) ** exponent);
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const out = [];
    for (let i = 0; i < keys; i++) {
        const times = Math.max(1, Math.round(weights[i] / total * count));
        for (let n = 0; n < times; n++) out.push([`/api/v1/articles/${i + 1}`]);
    }
    return out;
}

let made;
const world = (bench) => (made ??= makeWorld(bench));

async function makeWorld(bench) {
    const pg = await bench.keep(await Pg.start({ clientsPlus: 0.1, settings: { shared_buffers: '256MB' } }), (it) => it.close());
    await pg.installFeed({ db: DB });
    await pg.sql(`CREATE TABLE api.articles (id integer PRIMARY KEY, title text, body text);
        INSERT INTO api.articles SELECT i, 'Article ' || i, repeat(md5(i::text), 29) FROM generate_series(1, ${KEYS}) i;
        GRANT SELECT ON api.articles TO viewer; CREATE TABLE api.counters (id integer PRIMARY KEY, n bigint NOT NULL DEFAULT 0);
        INSERT INTO api.counters SELECT i FROM generate_series(1, 1000) i; GRANT SELECT, UPDATE ON api.counters TO viewer;
        ANALYZE api.articles, api.counters`, { db: DB });
    const serve = async (options) => bench.keep(await Hasten.start(exampleConfig(pg, {
        'log.access': false, 'log.level': 'warn', 'server.workers': 1, ...options })), (it) => it.stop());
    const file = requestFile(zipf(REQUESTS, KEYS, EXPONENT));
    return { pg, serve, file };
}

/** Until each key is kept: the load asks for all of them, and the last of it finds nothing missing. */
async function fill(server, file) {
    await waitUntil(async () => (await server.fetch('/api/v1/articles/1')).headers.get('x-cache') === 'HIT', { what: 'the first hit' });
    let missed = -1;
    for (let tries = 0; tries < 20; tries++) {
        await runLoad(server.port, file, { seconds: 2 });
        const { miss, bypass } = await outcomes(server);
        if (miss + bypass === missed) return;
        missed = miss + bypass;
    }
    throw new Error('the cache does not fill');
}

export async function hit(bench) {
    const { serve, file } = await world(bench);
    const [one, two, origin] = [await serve({}), await serve({ 'server.workers': 2 }), await serve({ 'cache.enabled': false })];
    const nginx = await bench.keep(await startNginxCache(origin.port), (it) => it.stop());
    const haproxy = await bench.keep(await startHaproxyCache(origin.port), (it) => it.stop());
    await fill(one, file);
    await fill(two, file);
    for (const peer of [nginx, haproxy]) await runLoad(peer.port, file, { seconds: 8 });
    const again = await fetch(`http://127.0.0.1:${nginx.port}/api/v1/articles/1`);
    assert.equal(again.headers.get('x-peer-cache'), 'HIT');
    const fixed = requestFile([['/health/live']]);
    const cost = (pids, port, what = file) => async () => (await cpuPerAnswer(pids, port, what, { seconds: bench.seconds })).cpu_us;
    const got = await alternate(bench.rounds, {
        hasten: cost(() => [one.pid], one.port), nginx: cost(nginx.pids, nginx.port), haproxy: cost(haproxy.pids, haproxy.port),
        fixed: cost(() => [one.pid], one.port, fixed), two: cost(() => [two.pid], two.port),
    });
    const row = (peer, peerValue, goal, value = got.hasten) => bench.record({ name: 'hit, CPU', value, unit: 'µs/req', peer, peerValue, goal });
    row('nginx proxy_cache', got.nginx, '≤ 0.55');
    row('HAProxy cache', got.haproxy, '≤ 0.85');
    row('a fixed answer of hasten', got.fixed, '≤ 1.2');
    bench.record({ name: 'hit, CPU, two workers', value: got.two, unit: 'µs/req', peer: 'one worker', peerValue: got.hasten, goal: '≤ 1.1' });
}

/** What the cache said so far, by outcome, over all routes. */
async function outcomes(server) {
    const text = await (await server.fetch('/metrics')).text();
    const said = { hit: 0, miss: 0, coalesced: 0, bypass: 0 };
    for (const [, outcome, n] of text.matchAll(/^hasten_cache_requests_total\{.*outcome="(\w+)"\} (\d+)$/gm)) said[outcome] += Number(n);
    return said;
}

/** µs from the answer of a COMMIT to the first read through hasten that shows it. */
async function untilSeen(pg, server, count) {
    const client = await pg.client({ db: DB });
    const took = [];
    for (let i = 0; i < count; i++) {
        const [id, title] = [1 + i % 100, `seen ${i}`];
        await server.get(`/api/v1/articles/${id}`);
        await client.query('UPDATE api.articles SET title = $1 WHERE id = $2', [title, id]);
        const began = performance.now();
        while ((await server.get(`/api/v1/articles/${id}`)).body.data.title !== title);
        took.push((performance.now() - began) * 1000);
    }
    await client.end();
    return took.sort((a, b) => a - b);
}

/** Writes beside: 5,000 transactions a second on a neighbour of the kept table. */
export async function beside(bench) {
    const { pg, serve, file } = await world(bench);
    const server = await serve({});
    await fill(server, file);
    const script = '\\set id random(1, 1000)\nUPDATE api.counters SET n = n + 1 WHERE id = :id;\n';
    const seconds = bench.seconds + 4;
    const writes = pgbenchScript(pg, DB, script, { seconds, clients: 8, rate: 5000 });
    await sleep(1000);
    const before = await outcomes(server);
    await runLoad(server.port, file, { seconds: bench.seconds });
    const after = await outcomes(server);
    const took = await untilSeen(pg, server, 200);
    const tps = await writes;
    const asked = Object.keys(after).reduce((sum, key) => sum + after[key] - before[key], 0);
    bench.record({ name: `hits beside ${Math.round(tps)} writes/s elsewhere`, value: 100 * (after.hit - before.hit) / asked, unit: '%', goal: '≥ 100', of: 'value' });
    bench.record({ name: 'commit to first fresh read, p99', value: took[Math.floor(took.length * 0.99)] / 1000, unit: 'ms', goal: '≤ 1000', of: 'value' });
}

/** A write that waits for the change stream, beside one that does not; fsync on. */
export async function wait(bench) {
    const pg = await bench.keep(await Pg.start({ clientsPlus: 0.1, fsync: true, root: os.tmpdir(), settings: { synchronous_commit: 'on' } }), (it) => it.close());
    await pg.installFeed({ db: DB });
    await pg.sql('CREATE TABLE api.visits (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at text); GRANT SELECT, INSERT ON api.visits TO viewer', { db: DB });
    const serve = async (enabled) => bench.keep(await Hasten.start(exampleConfig(pg, {
        'log.access': false, 'log.level': 'warn', 'cache.enabled': enabled })), (it) => it.stop());
    const [on, off] = [await serve(true), await serve(false)];
    const one = async (server) => {
        const answer = await server.get('/api/v1/visits', { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"at":"now"}' });
        assert.equal(answer.status, 201, answer.text);
    };
    await waitUntil(async () => (await server0(on)) === 'HIT', { what: 'the cache to be there' });
    const timed = (server) => async () => {
        const took = [];
        for (let i = 0; i < 200; i++) {
            const began = performance.now();
            await one(server);
            took.push((performance.now() - began) * 1000);
        }
        return median(took);
    };
    const got = await alternate(bench.rounds, { on: timed(on), off: timed(off) });
    bench.record({ name: 'write that waits for the stream', value: got.on, unit: 'µs', peer: 'without a cache', peerValue: got.off, goal: '≤ 1.25' });
}

async function server0(server) {
    await server.get('/api/v1/companies/1');
    return (await server.fetch('/api/v1/companies/1')).headers.get('x-cache');
}

/** The change stream is cut while nine of ten answers are hits: no error, and what is left. */
export async function cut(bench) {
    const { pg, serve, file } = await world(bench);
    const proxy = await Proxy.start({ host: '127.0.0.1', port: pg.port });
    const server = await serve({ 'cache.feed.url': pg.url({ user: 'authenticator', db: DB, tcp: true, port: proxy.port }) });
    await fill(server, file);
    const whole = await runLoad(server.port, file, { seconds: bench.seconds });
    await proxy.stop();
    await sleep(1500);
    const left = await runLoad(server.port, file, { seconds: bench.seconds });
    bench.record({ name: 'stream cut: goodput', value: left.rate, unit: 'req/s', peer: 'before', peerValue: whole.rate, goal: '≥ 0.05' });
    bench.record({ name: 'stream cut: p99', value: left.p99_us / 1000, unit: 'ms', goal: '≤ 2000', of: 'value' });
}
