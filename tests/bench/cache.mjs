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
import { sleep, waitUntil } from '../e2e/harness/util.mjs';
import { alternate, cpuPerAnswer, pgbenchScript, requestFile, runLoad, startHaproxyCache, startNginxCache } from './lib.mjs';

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

/** Until each key is kept: the load asks for all of them. */
async function fill(server, file, seconds = 3) {
    await waitUntil(async () => (await server.fetch('/api/v1/articles/1')).headers.get('x-cache') === 'HIT', { what: 'the first hit' });
    await runLoad(server.port, file, { seconds });
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
