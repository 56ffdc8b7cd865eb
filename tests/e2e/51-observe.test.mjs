// SPDX-License-Identifier: Apache-2.0
// What an operator sees: health in every state of the database, metrics that parse and count right.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig } from './harness/hasten.mjs';
import { sign } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { waitUntil } from './harness/util.mjs';

let pg;
let server;

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    server = await Hasten.start(exampleConfig(pg));
});

after(async () => {
    await server?.stop();
    await pg?.close();
});

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{((?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\[\\"n])*",?)*)\})? (\+Inf|-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/;

/** Prometheus text → Map of "name{labels}" to number; every line must be of the format. */
function parse(text) {
    const samples = new Map();
    const families = new Set();
    let family;
    assert.ok(text.endsWith('\n'));
    for (const line of text.slice(0, -1).split('\n')) {
        const help = /^# HELP (\w+) .+$/.exec(line);
        const type = /^# TYPE (\w+) (counter|gauge|histogram)$/.exec(line);
        const sample = SAMPLE.exec(line);
        assert.ok(help || type || sample, `not a line of the format: ${line}`);
        if (help) {
            assert.ok(!families.has(help[1]), `twice: ${help[1]}`);
            families.add(help[1]);
            [, family] = help;
        } else if (type) {
            assert.equal(type[1], family);
        } else {
            assert.ok(sample[1].startsWith(family), `${sample[1]} stands under ${family}`);
            const key = line.slice(0, line.lastIndexOf(' '));
            assert.ok(!samples.has(key), `twice: ${key}`);
            samples.set(key, Number(sample[3]));
        }
    }
    return samples;
}

async function metrics() {
    const answer = await server.get('/metrics');
    assert.equal(answer.status, 200);
    assert.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8');
    return parse(answer.text);
}

/** How much the sum of all samples whose key matches grew from one scrape to the other. */
function grown(from, to, pattern) {
    const sum = (samples) => [...samples].filter(([key]) => pattern.test(key)).reduce((total, [, value]) => total + value, 0);
    return sum(to) - sum(from);
}

test('/health lists the components', async () => {
    const { status, headers, body } = await server.get('/health');
    assert.equal(status, 200);
    assert.match(headers.get('content-type'), /^application\/json/);
    assert.equal(headers.get('cache-control'), 'no-store');
    assert.equal(body.status, 'ok');
    assert.deepEqual(Object.keys(body), ['status', 'components', 'cache', 'uptime_s', 'version']);
    assert.deepEqual(Object.keys(body.components), ['database', 'catalog', 'workers']);
    for (const component of Object.values(body.components)) assert.equal(component.status, 'ok');
    assert.ok(body.components.workers.connections >= 1);
    assert.ok(Number.isInteger(body.uptime_s) && body.uptime_s < 600);
    assert.match(body.version, /^\d+\.\d+\.\d+/);
});

test('/health/live and /health/ready are fixed answers; HEAD and wrong methods', async () => {
    for (const where of ['/health/live', '/health/ready']) {
        const { status, body } = await server.get(where);
        assert.equal(status, 200);
        assert.deepEqual(body, { status: 'ok' });
    }
    const head = await server.get('/health/live', { method: 'HEAD' });
    assert.equal(head.status, 200);
    assert.equal(head.headers.get('content-length'), '15');
    const post = await server.get('/health/live', { method: 'POST', body: 'x' });
    assert.equal(post.status, 405);
    assert.match(post.headers.get('allow'), /GET/);
});

test('every route needs no token, also where a bad one is sent', async () => {
    for (const where of ['/health', '/health/live', '/health/ready', '/metrics']) {
        assert.equal((await server.get(where, { token: 'nonsense' })).status, 200, where);
    }
});

test('/metrics counts what was asked', async () => {
    const earlier = await metrics();
    const token = sign({ role: 'member', company_id: 2 }, SECRET);
    for (let i = 0; i < 7; i++) assert.equal((await server.get('/api/v1/clients?limit=1', { token })).status, 200);
    for (let i = 0; i < 3; i++) assert.equal((await server.get('/api/v1/no_such_table')).status, 404);
    for (let i = 0; i < 2; i++) assert.equal((await server.get('/api/v1/clients', { token: 'x.y.z' })).status, 401);
    await server.get('/health/live');
    const later = await metrics();

    const requests = /^hasten_http_requests_total\{/;
    assert.equal(grown(earlier, later, requests), 7 + 3 + 2 + 1 + 1, 'and the scrape before');
    assert.equal(grown(earlier, later, /^hasten_http_requests_total\{.*status="404"/), 3);
    assert.equal(grown(earlier, later, /^hasten_http_requests_total\{.*status="401"/), 2);
    assert.equal(grown(earlier, later, /^hasten_http_requests_total\{route="\/api\/v1\/clients",status="200"\}/), 7);
    assert.equal(grown(earlier, later, /^hasten_http_request_duration_seconds_count/), 14);
    assert.equal(grown(earlier, later, /^hasten_http_request_duration_seconds_bucket\{.*le="\+Inf"/), 14);
    assert.equal(grown(earlier, later, /^hasten_auth_failures_total/), 2);
    // One worker or another verifies it first; the rest remember.
    const misses = grown(earlier, later, /^hasten_auth_cache_misses_total/);
    const hits = grown(earlier, later, /^hasten_auth_cache_hits_total/);
    assert.equal(hits + misses, 7 + 2);
    assert.equal(grown(earlier, later, /^hasten_pg_queries_total/), 7);
    assert.ok(grown(earlier, later, /^hasten_http_sent_bytes_total/) > 14 * 100);
    assert.equal(grown(earlier, later, /^hasten_log_lines_lost_total/), 0);
});

test('/metrics tells of the process', async () => {
    const samples = await metrics();
    assert.ok(samples.get('process_resident_memory_bytes') > 2 ** 20);
    assert.ok(samples.get('process_cpu_seconds_total') > 0);
    assert.ok(samples.get('process_open_fds') > 0);
    assert.ok(Math.abs(samples.get('process_start_time_seconds') - Date.now() / 1000) < 600);
    assert.equal([...samples.keys()].filter((key) => key.startsWith('hasten_build_info{version="')).length, 1);
    assert.ok(samples.get('hasten_pg_connections') >= 1);
    assert.equal(samples.get('hasten_http_requests_in_flight'), 1, 'the scrape itself');
});

test('PostgreSQL down: 503 everywhere but live, and back by itself', async () => {
    await pg.stop();
    await waitUntil(async () => (await server.get('/health')).status === 503, { timeout: 20_000, what: '/health to be 503' });
    const down = await server.get('/health');
    assert.equal(down.body.status, 'down');
    assert.equal(down.body.components.database.status, 'down');
    assert.equal(down.body.components.workers.status, 'ok');
    const ready = await server.get('/health/ready');
    assert.equal(ready.status, 503);
    assert.equal(ready.headers.get('retry-after'), '1');
    assert.equal((await server.get('/health/live')).status, 200);
    assert.equal((await server.get('/api/v1/clients?limit=1')).status, 503);
    await pg.start();
    await waitUntil(async () => (await server.get('/health')).body.status === 'ok', { timeout: 20_000, what: '/health to be ok' });
    assert.equal((await server.get('/api/v1/clients?limit=1')).status, 200);
});

test('metrics can be switched off', async () => {
    const silent = await Hasten.start(exampleConfig(pg, { 'observe.metrics': false }));
    try {
        assert.equal((await silent.get('/metrics')).status, 404);
    } finally {
        await silent.stop();
    }
});
