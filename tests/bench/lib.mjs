// SPDX-License-Identifier: Apache-2.0
// What the benchmarks measure with: the load generator, the CPU and memory of
// processes, alternating runs, and the peers. No figure is made here.

import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { childrenOf, freePort, spawnServer, tempDir, waitUntil, within } from '../e2e/harness/util.mjs';

const run = promisify(execFile);
export const folder = tempDir('bench');
const generator = path.join(folder, 'load');

export function buildGenerator() {
    execFileSync('gcc', ['-O2', '-std=c17', '-D_GNU_SOURCE', '-o', generator, path.join(import.meta.dirname, 'load.c')],
        { stdio: 'inherit' });
}

export const median = (list) => {
    const sorted = [...list].sort((a, b) => a - b);
    return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};

/**
 * Runs all contenders, `rounds` times, in alternating order (A B, B A, …), and
 * returns the median of each: {name: async () => number} -> {name: number}.
 * A contender may return an object of numbers; then each is a median.
 */
export async function alternate(rounds, contenders) {
    const seen = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
    for (let round = 0; round < rounds; round++) {
        const names = Object.keys(contenders);
        if (round % 2) names.reverse();
        for (const name of names) {
            const value = await contenders[name]();
            seen[name].push(value);
            console.error(`  round ${round + 1}/${rounds}  ${name}: ${JSON.stringify(value, (_, v) => (typeof v === 'number' ? Number(v.toPrecision(5)) : v))}`);
        }
    }
    const middle = (list) => (typeof list[0] === 'number' ? median(list)
        : Object.fromEntries(Object.keys(list[0]).map((key) => [key, median(list.map((value) => value[key]))])));
    return Object.fromEntries(Object.entries(seen).map(([name, list]) => [name, middle(list)]));
}

// ---- load ------------------------------------------------------------------

let files = 0;

/** Writes requests for the generator: [path, token?, body?]... -> the file's name. With a body it is a POST. */
export function requestFile(list) {
    const file = path.join(folder, `requests-${++files}`);
    fs.writeFileSync(file, list.map(([target, token, body]) => `${body ? 'POST' : 'GET'} ${target} HTTP/1.1\r\nHost: 127.0.0.1\r\n` +
        `${token ? `Authorization: Bearer ${token}\r\n` : ''}` +
        `${body ? `Content-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n` : ''}\r\n${body ?? ''}`).join(''));
    return file;
}

/** One run: {answers, seconds, rate, bytes, p50_us, p99_us, own_cpu_us}. */
export async function runLoad(port, file, { seconds, connections = 64, depth = 1 }) {
    const { stdout } = await run(generator, [port, connections, seconds, depth, file].map(String));
    return JSON.parse(stdout);
}

/** Opens connections that made one request each; close() lets them go. */
export async function holdConnections(port, file, count) {
    const child = spawn(generator, [port, count, 0, 1, file].map(String), { stdio: ['pipe', 'pipe', 'inherit'] });
    const ended = once(child, 'exit');
    const first = await Promise.race([once(createInterface(child.stdout), 'line'), ended]);
    if (first[0] !== 'open') throw new Error(`the generator could not hold ${count} connections`);
    return {
        close: async () => {
            child.stdin.end();
            await within(20_000, ended, 'closing the connections');
        },
    };
}

/** The most connections that one process here may hold, at most `wanted`. */
export function connectionLimit(wanted) {
    const hard = execFileSync('sh', ['-c', 'ulimit -Hn'], { encoding: 'utf8' }).trim();
    return hard === 'unlimited' ? wanted : Math.min(wanted, Number(hard) - 200);
}

// ---- processes -------------------------------------------------------------

/** CPU that these processes have used, in µs: by nanoseconds where the kernel counts them, else by ticks. */
export function cpuOf(pids) {
    let total = 0;
    for (const pid of pids) {
        try {
            for (const task of fs.readdirSync(`/proc/${pid}/task`)) {
                total += Number(fs.readFileSync(`/proc/${pid}/task/${task}/schedstat`, 'utf8').split(' ')[0]) / 1000;
            }
        } catch (error) {
            if (error.code !== 'ENOENT' && error.code !== 'ESRCH') throw error;
            if (fs.existsSync(`/proc/${pid}/stat`)) total += ticksOf(pid);
        }
    }
    return total;
}

function ticksOf(pid) {
    const fields = fs.readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1].split(' ');
    return (Number(fields[11]) + Number(fields[12])) * 10_000;
}

export const family = (pid) => [pid, ...childrenOf(pid)];

/** CPU µs per answer of `pids()` while the load runs; the load's own figures beside it. */
export async function cpuPerAnswer(pids, port, file, options) {
    const before = cpuOf(pids());
    const result = await runLoad(port, file, options);
    return { ...result, cpu_us: (cpuOf(pids()) - before) / result.answers };
}

/** Resident memory of these processes, in KiB. */
export function residentOf(pids) {
    return pids.reduce((sum, pid) => sum + Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0), 0);
}

// ---- peers -----------------------------------------------------------------

async function startPeer(name, command, args, url, env) {
    const log = path.join(folder, `${name}.log`);
    const child = spawnServer(command, args, { log, env: { ...process.env, ...env } });
    let ended = false;
    child.ended.then(() => { ended = true; });
    await waitUntil(async () => {
        if (ended) throw new Error(`${name} ended:\n${fs.readFileSync(log, 'utf8')}`);
        return (await fetch(url)).status === 200;
    }, { what: `${name} to answer ${url}` });
    return {
        pids: () => family(child.pid),
        stop: async () => {
            child.kill('SIGTERM');
            await within(20_000, child.ended, `the end of ${name}`);
        },
    };
}

export async function startFastify(databaseUrl) {
    const port = await freePort();
    const peer = await startPeer('fastify', process.execPath, [path.join(import.meta.dirname, 'peers/fastify.mjs'), port],
        `http://127.0.0.1:${port}/api/v1/clients/1`, { DATABASE_URL: databaseUrl, NODE_ENV: 'production' });
    return { ...peer, port };
}

/** nginx that answers every path with `body` from memory: `return 200`, one worker per processor, no log. */
export async function startNginx(body, contentType, workers) {
    const port = await freePort();
    const file = path.join(folder, 'nginx.conf');
    fs.writeFileSync(file, `
        daemon off; pid ${folder}/nginx.pid; worker_processes ${workers}; worker_rlimit_nofile ${connectionLimit(100_000)};
        events { worker_connections ${connectionLimit(100_000)}; }
        http {
            access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
            client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
            uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
            server {
                listen 127.0.0.1:${port} reuseport;
                default_type '${contentType}';
                location / { return 200 '${body.replaceAll('\\', '\\\\').replaceAll("'", "\\'").replaceAll('$', '')}'; }
            }
        }`);
    const peer = await startPeer('nginx', '/usr/sbin/nginx', ['-c', file, '-e', path.join(folder, 'nginx.err')],
        `http://127.0.0.1:${port}/`);
    return { ...peer, port };
}

/** nginx that keeps what hasten at `origin` answers (proxy_cache, in memory as far as nginx can), one worker. */
export async function startNginxCache(origin) {
    const port = await freePort();
    const file = path.join(folder, 'nginx-cache.conf');
    const kept = path.join(folder, 'nginx-cache');
    fs.mkdirSync(kept, { recursive: true });
    fs.chmodSync(folder, 0o755);
    fs.chmodSync(kept, 0o777);
    fs.writeFileSync(file, `
        daemon off; pid ${folder}/nginx-cache.pid; worker_processes 1;
        events { worker_connections 4096; }
        http {
            access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; sendfile on;
            open_file_cache max=20000 inactive=600s; open_file_cache_valid 600s;
            client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
            uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
            proxy_cache_path ${kept} levels=1:2 keys_zone=kept:64m max_size=1g inactive=1d use_temp_path=off;
            upstream origin { server 127.0.0.1:${origin}; keepalive 16; }
            server {
                listen 127.0.0.1:${port};
                location = /up { return 200 'ok'; }
                location / {
                    proxy_pass http://origin; proxy_http_version 1.1; proxy_set_header Connection '';
                    proxy_cache kept; proxy_cache_valid 200 1d; proxy_ignore_headers Cache-Control Vary Expires;
                    proxy_cache_lock on; add_header X-Peer-Cache $upstream_cache_status;
                }
            }
        }`);
    const peer = await startPeer('nginx-cache', '/usr/sbin/nginx', ['-c', file, '-e', path.join(folder, 'nginx-cache.err')],
        `http://127.0.0.1:${port}/up`);
    return { ...peer, port };
}

/** HAProxy that keeps the same, one thread. */
export async function startHaproxyCache(origin) {
    const port = await freePort();
    const file = path.join(folder, 'haproxy.cfg');
    fs.writeFileSync(file, `
global
    nbthread 1
    maxconn 4096
defaults
    mode http
    timeout connect 5s
    timeout client 600s
    timeout server 60s
cache kept
    total-max-size 256
    max-object-size 65536
    max-age 86400
frontend front
    bind 127.0.0.1:${port}
    http-request return status 200 if { path /up }
    http-request cache-use kept
    http-response del-header Vary
    http-response set-header Cache-Control "public, max-age=86400"
    http-response cache-store kept
    default_backend origin
backend origin
    server origin 127.0.0.1:${origin}
`);
    const peer = await startPeer('haproxy', '/usr/sbin/haproxy', ['-db', '-f', file], `http://127.0.0.1:${port}/up`);
    return { ...peer, port };
}

/** The best tps of `pgbench -M prepared -S` over these numbers of clients, on a database `bench` made before. */
export async function bestPgbench(pg, { seconds, clients = [1, 2, 4, 8, 16] }) {
    let best = 0;
    for (const count of clients) {
        const { stdout } = await run('/usr/lib/postgresql/15/bin/pgbench', ['-n', '-M', 'prepared', '-S', '-T', seconds,
            '-c', count, '-j', Math.min(count, 2), '-h', pg.folder, '-p', pg.port, '-U', 'postgres', 'bench'].map(String));
        best = Math.max(best, Number(/^tps = ([\d.]+)/m.exec(stdout)[1]));
    }
    return best;
}

/** tps of one statement, prepared, by `clients` clients; `rate` bounds it. */
export async function pgbenchScript(pg, db, sql, { seconds, clients, rate = 0 }) {
    const file = path.join(folder, 'script.sql');
    fs.writeFileSync(file, sql);
    const { stdout } = await run('/usr/lib/postgresql/15/bin/pgbench', ['-n', '-M', 'prepared', '-f', file, '-T', seconds,
        ...(rate ? ['-R', rate] : []), '-c', clients, '-j', 2, '-h', pg.folder, '-p', pg.port, '-U', 'postgres', db].map(String));
    return Number(/^tps = ([\d.]+)/m.exec(stdout)[1]);
}

/** A pgbench database whose table has as many rows as the example has clients (100,000 per unit of scale). */
export async function initPgbench(pg) {
    await pg.sql('CREATE DATABASE bench');
    await run('/usr/lib/postgresql/15/bin/pgbench', ['-i', '-q', '-s', '1', '-h', pg.folder, '-p', String(pg.port), '-U', 'postgres', 'bench']);
}
