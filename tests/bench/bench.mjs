// SPDX-License-Identifier: Apache-2.0
// Every figure that hasten claims, beside the peer it is claimed against, both
// in one run on one machine: alternating runs, medians of five.
//
// usage: ./dev bench [NAME…] [--json FILE] [--quick]

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import { parseArgs, promisify } from 'node:util';
import { Hasten, SECRET, exampleConfig } from '../e2e/harness/hasten.mjs';
import { now, sign } from '../e2e/harness/jwt.mjs';
import { Pg } from '../e2e/harness/pg.mjs';
import { random, sleep } from '../e2e/harness/util.mjs';
import { beside, cut, hit, wait } from './cache.mjs';
import { named } from './named.mjs';
import { batch, rest } from './rest.mjs';
import { bulk, insert } from './write.mjs';
import {
    alternate, bestPgbench, buildGenerator, connectionLimit, cpuPerAnswer, family, holdConnections,
    initPgbench, median, requestFile, residentOf, runLoad, startFastify, startNginx,
} from './lib.mjs';

const { values: flags, positionals } = parseArgs({
    allowPositionals: true,
    options: {
        json: { type: 'string' },
        quick: { type: 'boolean', default: false },
        readme: { type: 'boolean', default: false },
    },
});
const run = promisify(execFile);
const ROUNDS = flags.quick ? 2 : 5;
const SECONDS = flags.quick ? 2 : 4;
const TENANTS = 64;
const REQUESTS = 20_000;
const FIELDS = 'id,firstName,lastName,email,phone,status,isActive,createdAt';
const LIST = `/api/v1/clients?status=ACTIVE&sort=createdAt&order=desc&limit=20&fields=${FIELDS}`;
const chance = random(1);

// ---- what several benches share, made when first asked for -----------------

const started = [];
const once = (make) => {
    let made;
    return () => (made ??= make());
};
const kept = async (thing, stop) => {
    started.push(() => stop(thing));
    return thing;
};

const database = once(async () => {
    const pg = await kept(await Pg.start({ clientsPlus: 1, settings: { shared_buffers: '512MB' } }), (it) => it.close());
    await initPgbench(pg);
    return pg;
});
// What the database costs: nothing is kept. (cache.mjs measures what is.)
const config = async () => exampleConfig(await database(), { 'log.access': false, 'log.level': 'warn', 'cache.enabled': false });
const serve = async () => Hasten.start(await config());
const hasten = once(async () => kept(await serve(), (it) => it.stop()));
const fastify = once(async () => kept(await startFastify((await database()).url({ db: 'clients_plus' })), (it) => it.stop()));

const clients = once(async () => (await database()).sql(
    'SELECT id::int, company_id::int AS company FROM api.clients ORDER BY id', { db: 'clients_plus' }));

/** A token for each of 64 users, over all companies in turn. */
const tokens = once(async () => {
    const companies = [...new Set((await clients()).map(({ company }) => company))];
    return Array.from({ length: TENANTS }, (_, i) => {
        const company = companies[i % companies.length];
        const claims = { role: 'member', company_id: company, sub: `user-${i}`, exp: now(86_400) };
        return { company, token: sign(claims, SECRET) };
    });
});

const singleFile = once(async () => {
    const all = await clients();
    return requestFile(Array.from({ length: REQUESTS }, () => [`/api/v1/clients/${chance.pick(all).id}`]));
});
const singleTenantsFile = once(async () => {
    const all = Map.groupBy(await clients(), ({ company }) => company);
    const users = await tokens();
    return requestFile(Array.from({ length: REQUESTS }, () => {
        const { company, token } = chance.pick(users);
        return [`/api/v1/clients/${chance.pick(all.get(company)).id}`, token];
    }));
});
const listFile = once(() => requestFile([[LIST]]));
const listTenantsFile = once(async () => requestFile((await tokens()).map(({ token }) => [LIST, token])));

const rate = async (server, file, options = {}) => (await runLoad(server.port, file, { seconds: SECONDS, ...options })).rate;

// node compiles what is hot, PostgreSQL reads what is cold: neither is what we measure.
const warm = async (servers, file) => {
    for (const server of servers) await rate(server, file);
};

// ---- the table -------------------------------------------------------------

const rows = [];

/** `goal` is '≥ 1' or '≤ 2' on the ratio, or on the value where there is no peer (`of: 'value'`). */
function record({ name, value, unit, peer = null, peerValue = null, goal, of = 'ratio' }) {
    const ratio = peerValue === null ? null : value / peerValue;
    const [sign_, limit] = goal.split(' ');
    const measured = of === 'value' ? value : ratio;
    const ok = sign_ === '≥' ? measured >= Number(limit) : measured <= Number(limit);
    rows.push({ name, value, unit, peer, peer_value: peerValue, ratio, goal: of === 'value' ? `${goal} ${unit}` : `${goal} ×`, ok });
}

// An answer is looked at before it is counted: speed at a wrong answer is worth nothing.
async function checkAnswers() {
    const server = await hasten();
    const { id } = chance.pick(await clients());
    const single = await server.get(`/api/v1/clients/${id}`);
    assert.equal(single.status, 200, single.text);
    assert.equal((single.body.data ?? single.body).id, id);
    for (const { company, token } of (await tokens()).slice(0, 3)) {
        const list = await server.get(`${LIST},companyId`, { token });
        assert.equal(list.status, 200, list.text);
        assert.ok(list.body.data.length > 0 && list.body.data.every((row) => row.companyId === company && row.status === 'ACTIVE'));
    }
    const list = await server.get(LIST);
    const peer = await (await fetch(`http://127.0.0.1:${(await fastify()).port}${LIST}`)).json();
    assert.equal(list.body.data.length, 20);
    assert.deepEqual(Object.keys(list.body.data[0]).sort(), FIELDS.split(',').sort());
    assert.deepEqual(list.body.data.map((row) => row.createdAt.slice(0, 19)), peer.data.map((row) => row.createdAt.slice(0, 19)));
}

/** What the benches of writes share with these. */
const writing = { flags, rounds: ROUNDS, seconds: SECONDS, record, keep: kept };
const reading = { ...writing, database, hasten, clients, chance };

// ---- benches ---------------------------------------------------------------

async function single() {
    const [server, peer, pg, file] = [await hasten(), await fastify(), await database(), await singleFile()];
    await warm([server, peer], file);
    const got = await alternate(ROUNDS, {
        hasten: () => rate(server, file),
        pgbench: () => bestPgbench(pg, { seconds: flags.quick ? 1 : 2 }),
        fastify: () => rate(peer, file),
    });
    record({ name: 'single', value: got.hasten, unit: 'req/s', peer: 'pgbench -M prepared -S', peerValue: got.pgbench, goal: '≥ 1' });
    record({ name: 'single', value: got.hasten, unit: 'req/s', peer: 'Fastify + pg', peerValue: got.fastify, goal: '≥ 6' });
}

async function tenants(name, plain, own, goal) {
    const server = await hasten();
    const [all, mine] = [await plain(), await own()];
    const got = await alternate(ROUNDS, { tenants: () => rate(server, mine), plain: () => rate(server, all) });
    record({ name, value: got.tenants, unit: 'req/s', peer: 'one role', peerValue: got.plain, goal });
}

async function list() {
    const [server, peer, file] = [await hasten(), await fastify(), await listFile()];
    await warm([server, peer], file);
    const got = await alternate(ROUNDS, { hasten: () => rate(server, file), fastify: () => rate(peer, file) });
    record({ name: 'list', value: got.hasten, unit: 'req/s', peer: 'Fastify + pg', peerValue: got.fastify, goal: '≥ 5' });
}

async function cpu() {
    const [server, file] = [await hasten(), await singleFile()];
    const got = await alternate(ROUNDS, {
        hasten: async () => (await cpuPerAnswer(() => [server.pid], server.port, file, { seconds: SECONDS })).cpu_us,
    });
    record({ name: 'cpu', value: got.hasten, unit: 'µs/req', goal: '≤ 10', of: 'value' });
}

async function fixed() {
    const server = await hasten();
    const answer = await server.fetch('/health/live');
    const nginx = await startNginx(await answer.text(), answer.headers.get('content-type') ?? 'text/plain', os.availableParallelism());
    const file = requestFile([['/health/live']]);
    const cost = (pids, port, depth) => async () => (await cpuPerAnswer(pids, port, file, { seconds: SECONDS, depth })).cpu_us;
    const ours = () => [server.pid];
    const got = await alternate(ROUNDS, {
        hasten: cost(ours, server.port, 1), nginx: cost(nginx.pids, nginx.port, 1),
        hasten16: cost(ours, server.port, 16), nginx16: cost(nginx.pids, nginx.port, 16),
    });
    await nginx.stop();
    record({ name: 'fixed', value: got.hasten, unit: 'µs/req', peer: 'nginx return 200', peerValue: got.nginx, goal: '≤ 1.15' });
    record({ name: 'fixed, 16 pipelined', value: got.hasten16, unit: 'µs/req', peer: 'nginx return 200', peerValue: got.nginx16, goal: '≤ 0.2' });
}

/** KiB of resident memory for each of many connections that made one request and wait. */
async function idleMemory(pids, port, file, count) {
    const warm = await holdConnections(port, file, 64);
    await warm.close();
    await sleep(500);
    const before = residentOf(pids());
    const held = await holdConnections(port, file, count);
    await sleep(1500);
    const after = residentOf(pids());
    await held.close();
    return (after - before) / count;
}

async function idle() {
    const count = connectionLimit(10_000);
    const file = requestFile([['/health/live']]);
    const rounds = Math.min(ROUNDS, 3);
    const got = await alternate(rounds, {
        hasten: async () => {
            const server = await serve();
            const used = await idleMemory(() => [server.pid], server.port, file, count);
            await server.stop();
            return used;
        },
        nginx: async () => {
            const nginx = await startNginx('ok', 'text/plain', os.availableParallelism());
            const used = await idleMemory(nginx.pids, nginx.port, file, count);
            await nginx.stop();
            return used;
        },
    });
    record({ name: `idle, ${count} connections`, value: got.hasten, unit: 'KiB each', peer: 'nginx', peerValue: got.nginx, goal: '≤ 2', of: 'value' });
}

/** One GET /health/ready by a bare socket; false until the server is there. */
const isReady = (port) => new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write('GET /health/ready HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n'));
    socket.once('data', (data) => {
        socket.destroy();
        resolve(data.toString('latin1').startsWith('HTTP/1.1 200'));
    });
    socket.once('error', () => resolve(false)).once('end', () => resolve(false));
});

async function start() {
    const server = new Hasten();
    const got = await alternate(ROUNDS, {
        hasten: async () => {
            await server.prepare(await config());
            const began = performance.now();
            await server.spawn({ ready: false });
            while (!await isReady(server.port)) {
                if (server.how || performance.now() - began > 20_000) throw new Error(`hasten did not start\n${server.log}`);
                await sleep(1);
            }
            const took = performance.now() - began;
            await server.stop();
            return took;
        },
    });
    record({ name: 'start to ready', value: got.hasten, unit: 'ms', goal: '≤ 300', of: 'value' });
}

async function cursor() {
    const [server, pg] = [await hasten(), await database()];
    const first = `/api/v1/clients?sort=createdAt&order=desc&limit=20&fields=${FIELDS}`;
    let target = first;
    for (let page = 1; page < 2000; page++) {
        const answer = await server.get(target);
        assert.equal(answer.status, 200, answer.text);
        target = `${first}&cursor=${encodeURIComponent(answer.body.pagination.nextCursor)}`;
    }
    // Of the servers alone: what the client costs is the same for both and would hide a difference.
    const pids = () => [server.pid, ...family(pg.child.pid)];
    const cost = (file) => async () => (await cpuPerAnswer(pids, server.port, file, { seconds: SECONDS, connections: 8 })).cpu_us;
    const got = await alternate(ROUNDS, { last: cost(requestFile([[target]])), first: cost(requestFile([[first]])) });
    record({ name: 'cursor, page 2,000', value: got.last, unit: 'µs/page', peer: 'page 1', peerValue: got.first, goal: '≤ 1.2' });
}

/** Rows a second of one stream, read to its end by curl; the rows are counted. */
async function streamRate(server, target, accept, expected) {
    const began = performance.now();
    const { stdout } = await run('sh', ['-c', 'curl -sS --fail -H "Accept: $1" "$2" | wc -l', 'sh', accept, server.url + target]);
    assert.equal(Number(stdout), expected);
    return expected / ((performance.now() - began) / 1000);
}

async function stream() {
    const [server, pg] = [await hasten(), await database()];
    const count = flags.quick ? 200_000 : 1_000_000;
    const columns = 'id, name, email, amount, is_active, created_at';
    await pg.sql(`DROP TABLE IF EXISTS api.exported; CREATE TABLE api.exported (id integer PRIMARY KEY, name text, email text,
            amount numeric, is_active boolean, created_at timestamptz);
        INSERT INTO api.exported SELECT i, 'name ' || i, 'user' || i || '@example.org', i / 8.0, i % 3 = 0,
            '2026-01-01'::timestamptz + i * interval '1 second' FROM generate_series(1, ${count}) i;
        GRANT SELECT ON api.exported TO viewer`, { db: 'clients_plus' });
    await pg.sql('VACUUM ANALYZE api.exported', { db: 'clients_plus' });
    const target = '/api/v1/exported';
    while ((await server.fetch(`${target}/1`)).status !== 200) await sleep(50);

    const copy = `\\copy (SELECT ${columns} FROM api.exported ORDER BY id) TO STDOUT (FORMAT csv, HEADER)`;
    const got = await alternate(ROUNDS, {
        csv: () => streamRate(server, target, 'text/csv', count + 1),
        ndjson: () => streamRate(server, target, 'application/x-ndjson', count),
        copy: async () => {
            const began = performance.now();
            const { stdout } = await run('sh', ['-c', 'psql -X -d "$1" -c "$2" | wc -l', 'sh', pg.url({ db: 'clients_plus' }), copy]);
            assert.equal(Number(stdout), count + 1);
            return count / ((performance.now() - began) / 1000);
        },
    });
    record({ name: 'stream, CSV', value: got.csv, unit: 'rows/s', peer: 'psql \\copy csv', peerValue: got.copy, goal: '≥ 0.5' });
    record({ name: 'stream, NDJSON', value: got.ndjson, unit: 'rows/s', peer: 'psql \\copy csv', peerValue: got.copy, goal: '≥ 0.4' });

    const fresh = await serve();
    await streamRate(fresh, `${target}?limit=50000`, 'text/csv', 50_001);
    const before = residentOf([fresh.pid]);
    await streamRate(fresh, target, 'application/x-ndjson', count);
    record({ name: `stream, memory for ${count} rows`, value: (residentOf([fresh.pid]) - before) / 1024, unit: 'MiB', goal: '≤ 16', of: 'value' });
    await fresh.stop();
    await streamsBeside(server, target);
}

/** The p99 of single-row reads beside ten streams that are read as fast as they come. */
async function streamsBeside(server, target) {
    const file = await singleFile();
    const p99 = async () => (await runLoad(server.port, file, { seconds: SECONDS })).p99_us;
    const got = await alternate(ROUNDS, {
        alone: p99,
        beside: async () => {
            const curls = Array.from({ length: 10 }, () => spawn('sh', ['-c', 'while :; do curl -sS -o /dev/null -H "Accept: text/csv" "$1"; done',
                'sh', server.url + target], { detached: true, stdio: 'ignore' }));
            try {
                await sleep(300);
                return await p99();
            } finally {
                for (const { pid } of curls) process.kill(-pid, 'SIGKILL');
                await sleep(500);
            }
        },
    });
    record({ name: 'single, p99 beside ten streams', value: got.beside, unit: 'µs', peer: 'alone', peerValue: got.alone, goal: '≤ 3' });
}

const BENCHES = {
    insert: () => insert(writing),
    bulk: () => bulk(writing),
    single,
    'single-tenants': () => tenants('single-tenants', singleFile, singleTenantsFile, '≥ 0.6'),
    list,
    'list-tenants': () => tenants('list-tenants', listFile, listTenantsFile, '≥ 0.7'),
    cpu, fixed, idle, start, cursor, stream,
    rest: () => rest(reading), batch: () => batch(reading),
    named: () => named(writing),
    hit: () => hit(writing), beside: () => beside(writing), wait: () => wait(writing), cut: () => cut(writing),
};

// ---- report ----------------------------------------------------------------

const figure = (value) => (value === null ? '' : value >= 1000 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(3))));

function markdown() {
    const lines = [
        `Medians of ${ROUNDS} alternating runs; ${os.availableParallelism()} processors, client, servers and PostgreSQL on one machine.`, '',
        '| what | hasten | unit | beside | its figure | ratio | goal | |', '|---|---:|---|---|---:|---:|---:|---|',
        ...rows.map((row) => `| ${row.name} | ${figure(row.value)} | ${row.unit} | ${row.peer ?? ''} | ${figure(row.peer_value)} | ` +
            `${row.ratio === null ? '' : row.ratio.toFixed(2)} | ${row.goal} | ${row.ok ? 'met' : '**missed**'} |`),
    ];
    return lines.join('\n');
}

// The figures of the README are written here, never by hand.
function writeReadme() {
    const file = new URL('../../README.md', import.meta.url);
    const [begin, end] = ['<!-- figures:begin -->', '<!-- figures:end -->'];
    const text = fs.readFileSync(file, 'utf8');
    const [from, to] = [text.indexOf(begin) + begin.length, text.indexOf(end)];
    assert.ok(from >= begin.length && to > from, 'README.md has lost its marks');
    fs.writeFileSync(file, `${text.slice(0, from)}\n\`./dev bench\`, all of it in one run.\n${markdown()}\n${text.slice(to)}`);
}

async function main() {
    const names = positionals.length ? positionals : Object.keys(BENCHES);
    const unknown = names.find((name) => !BENCHES[name]);
    if (unknown) throw new Error(`no bench is called ${unknown}; there are ${Object.keys(BENCHES).join(', ')}`);
    buildGenerator();
    await checkAnswers();
    const failed = [];
    for (const name of names) {
        console.error(`bench ${name}`);
        await BENCHES[name]().catch((error) => {
            failed.push(name);
            console.error(`bench ${name} failed:`, error);
        });
    }
    console.log(markdown());
    if (flags.readme && failed.length === 0) writeReadme();
    if (flags.json) fs.writeFileSync(flags.json, `${JSON.stringify(rows, null, 2)}\n`);
    process.exitCode = failed.length === 0 && rows.every((row) => row.ok) ? 0 : 1;
}

try {
    await main();
} finally {
    for (const stop of started.reverse()) await stop();
}
