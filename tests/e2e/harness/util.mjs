// SPDX-License-Identifier: Apache-2.0
// Small words that every test needs: waiting for facts, ports, temporary
// folders, seeded chance, certificates. Nothing here knows hasten or PostgreSQL.

import { execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export { sleep };

export const ROOT = path.resolve(import.meta.dirname, '../../..');

// Servers are kept after a test that is being debugged (`./dev debug`).
export const KEEP = process.env.HASTEN_KEEP === '1';

/** Calls `fact` until it returns something true; its last error is the reason given. */
export async function waitUntil(fact, { timeout = 10_000, interval = 20, what = String(fact) } = {}) {
    const deadline = performance.now() + timeout;
    let last;
    for (;;) {
        try {
            const value = await fact();
            if (value) return value;
            last = undefined;
        } catch (error) {
            last = error;
        }
        if (performance.now() > deadline) {
            const why = last ? `; last error: ${last.message}` : '';
            throw new Error(`waited ${timeout} ms in vain for: ${what}${why}`, { cause: last });
        }
        await sleep(interval);
    }
}

const canListen = (port) => new Promise((resolve) => {
    const server = net.createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host: '127.0.0.1', exclusive: true }, () => server.close(() => resolve(true)));
});

/** A port nobody listens on, below the range from which the kernel takes outgoing ports. */
export async function freePort() {
    for (let tries = 0; tries < 200; tries++) {
        const port = randomInt(15_000, 32_000);
        if (await canListen(port)) return port;
    }
    throw new Error('no free port between 15000 and 32000');
}

const memoryBacked = () => {
    try {
        fs.accessSync('/dev/shm', fs.constants.W_OK);
        const { bavail, bsize } = fs.statfsSync('/dev/shm');
        return bavail * bsize > 2 ** 30;
    } catch {
        return false;
    }
};

/** Where servers of tests put their data: in memory where there is room. */
export const dataRoot = memoryBacked() ? '/dev/shm' : os.tmpdir();

const folders = [];
const servers = new Set();

// Servers first, then their folders. A signal must come by here too.
process.on('exit', () => {
    if (KEEP) return;
    for (const server of servers) server.kill(`SIG${server.deathSignal}`);
    for (const folder of folders) fs.rmSync(folder, { recursive: true, force: true });
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.once(signal, () => process.exit(1));

/** A new folder, removed when the process ends. */
export function tempDir(name = 'test', root = os.tmpdir()) {
    const folder = fs.mkdtempSync(path.join(root, `hasten-${name}-`));
    folders.push(folder);
    return folder;
}

/**
 * Starts a server whose output goes to the end of `log`. It dies with this
 * process, however that ends (setpriv --pdeathsig), unless servers are kept.
 * `user` is who runs it: {uid, gid}, when this process is root.
 */
export function spawnServer(command, args, { log, env = process.env, cwd, user, deathSignal = 'KILL' } = {}) {
    const privileges = KEEP ? [] : ['--pdeathsig', deathSignal];
    if (user) privileges.push('--reuid', user.uid, '--regid', user.gid, '--clear-groups');
    const line = privileges.length ? ['setpriv', ...privileges.map(String), '--', command] : [command];
    const out = fs.openSync(log, 'a');
    const child = spawn(line[0], [...line.slice(1), ...args], { stdio: ['ignore', out, out], env, cwd, detached: KEEP });
    fs.closeSync(out);
    child.deathSignal = deathSignal;
    servers.add(child);
    child.ended = new Promise((resolve) => {
        child.once('error', (error) => {
            fs.appendFileSync(log, `${error.message}\n`);
            resolve({ code: null, signal: null, error });
        });
        child.once('exit', (code, signal) => resolve({ code, signal }));
    }).finally(() => servers.delete(child));
    child.unref();
    return child;
}

/** `promise`, or an error when it takes longer. */
export async function within(ms, promise, what) {
    let timer;
    const late = new Promise((_, reject) => {
        timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms} ms`)), ms);
    });
    try {
        return await Promise.race([promise, late]);
    } finally {
        clearTimeout(timer);
    }
}

/** Every random test prints its seed; HASTEN_SEED repeats it. */
export function newSeed() {
    return Number(process.env.HASTEN_SEED ?? randomInt(2 ** 31));
}

/** A generator of chance from a seed (sfc32): the same seed, the same numbers. */
export function random(seed) {
    let a = seed >>> 0, b = 0x9e3779b9, c = 0x243f6a88, d = 1;
    const next = () => {
        const t = (a + b + d) | 0;
        d = (d + 1) | 0;
        a = b ^ (b >>> 9);
        b = (c + (c << 3)) | 0;
        c = ((c << 21) | (c >>> 11)) + t | 0;
        return (t >>> 0) / 2 ** 32;
    };
    for (let i = 0; i < 12; i++) next();
    const int = (below) => Math.floor(next() * below);
    return {
        next,
        int,
        between: (low, high) => low + int(high - low + 1),
        chance: (p) => next() < p,
        pick: (list) => list[int(list.length)],
        shuffle: (list) => {
            const copy = [...list];
            for (let i = copy.length - 1; i > 0; i--) {
                const j = int(i + 1);
                [copy[i], copy[j]] = [copy[j], copy[i]];
            }
            return copy;
        },
    };
}

/**
 * A certificate authority and a server certificate for `names`, made by openssl.
 * Returns the paths {ca, cert, key}.
 */
export function makeCertificates(folder, names = ['DNS:localhost', 'IP:127.0.0.1']) {
    const file = (name) => path.join(folder, name);
    const openssl = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
    const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'];
    openssl('req', '-x509', ...key, '-days', '30', '-subj', '/CN=hasten test CA',
        '-keyout', 'ca.key', '-out', 'ca.crt');
    openssl('req', ...key, '-subj', '/CN=hasten test server', '-keyout', 'server.key', '-out', 'server.csr');
    fs.writeFileSync(file('server.ext'), `subjectAltName=${names.join(',')}\n`);
    openssl('x509', '-req', '-in', 'server.csr', '-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial',
        '-days', '30', '-extfile', 'server.ext', '-out', 'server.crt');
    return { ca: file('ca.crt'), cert: file('server.crt'), key: file('server.key') };
}

/** The numbers of all processes whose parent is `pid`. */
export function childrenOf(pid) {
    const children = [];
    for (const name of fs.readdirSync('/proc')) {
        if (!/^\d+$/.test(name)) continue;
        try {
            const stat = fs.readFileSync(`/proc/${name}/stat`, 'latin1');
            if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) === pid) children.push(Number(name));
        } catch {
            // It ended while we looked.
        }
    }
    return children;
}

/** True while a process runs; a zombie does not. */
export function isAlive(pid) {
    try {
        const stat = fs.readFileSync(`/proc/${pid}/stat`, 'latin1');
        return stat[stat.lastIndexOf(')') + 2] !== 'Z';
    } catch {
        return false;
    }
}
