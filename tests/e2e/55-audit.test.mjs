// SPDX-License-Identifier: Apache-2.0
// The audit log (G7): who was refused, who administered, what was changed; nothing secret; rotation; a full disk.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig, hasten } from './harness/hasten.mjs';
import { sign, tamper } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { tempDir, waitUntil } from './harness/util.mjs';

const WHERE = '/api/v1/clients?limit=1';
const member = (more = {}) => ({ role: 'member', company_id: 3, ...more });
let pg;

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
});

after(async () => {
    await pg?.close();
});

const linesOf = (file) => (fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : '')
    .split('\n').filter(Boolean).map((line) => JSON.parse(line));

/** The first line for which `fits` holds, once it is there. */
async function lineWhere(file, fits, what) {
    let found;
    await waitUntil(() => (found = linesOf(file).find(fits)), { what: `an audit line of ${what}` });
    return found;
}

async function serving(config, run) {
    const folder = tempDir('audit');
    const file = path.join(folder, 'audit.jsonl');
    const server = await Hasten.start(exampleConfig(pg, { 'audit.file': file, 'admin.socket': path.join(folder, 'admin.sock'), ...config }));
    try {
        await run(server, file, folder);
    } finally {
        await server.stop();
    }
    return linesOf(file);
}

test('who is refused: client, request id, role, path, reason; and nothing of what was shown', async () => {
    const bad = tamper(sign(member({ sub: 'Ada@example.com' }), SECRET));
    const viewer = sign({ role: 'viewer', sub: 'Ada@example.com', name: 'Lovelace' }, SECRET);
    const lines = await serving({}, async (server, file) => {
        const refused = await server.get(`${WHERE}&email=secret@example.com`, { token: bad, headers: { traceparent: `00-${'ab'.repeat(16)}-${'cd'.repeat(8)}-01` } });
        assert.equal(refused.status, 401);
        const line = await lineWhere(file, (l) => l.event === 'authentication_failed', 'the bad token');
        assert.equal(line.request_id, 'ab'.repeat(16));
        assert.match(line.client, /^127\.0\.0\.1:\d+$/);
        assert.deepEqual([line.method, line.path, line.status, line.reason], ['GET', '/api/v1/clients', 401, 'signature']);
        assert.equal(line.role, undefined, 'nothing of a bad token is believed');
        assert.equal((await server.get('/api/v1/users?limit=1', { token: viewer })).status, 403);
        const denied = await lineWhere(file, (l) => l.event === 'access_denied', 'the role without rights');
        assert.deepEqual([denied.role, denied.reason, denied.path], ['viewer', '42501', '/api/v1/users']);
        assert.equal(denied.subject, createHash('sha256').update('Ada@example.com').digest('hex').slice(0, 16));
        assert.equal((await server.get('/api/v1/users?limit=1')).status, 401);
        await lineWhere(file, (l) => l.event === 'authentication_failed' && l.reason === '42501' && l.role === 'viewer', 'the anonymous');
        assert.equal((await server.get(WHERE, { token: sign({ role: 'postgres' }, SECRET) })).status, 403);
        await lineWhere(file, (l) => l.event === 'access_denied' && l.reason === 'role', 'the role that is not listed');
        assert.equal((await server.get(WHERE, { token: sign(member({ exp: 1000 }), SECRET) })).status, 401);
        await lineWhere(file, (l) => l.reason === 'expired', 'the expired token');
        assert.equal((await server.get(WHERE)).status, 200);
        // A request of a batch is refused by itself.
        await server.get('/api/v1/batch', {
            method: 'POST', token: viewer, headers: { 'content-type': 'application/json' },
            body: JSON.stringify({ requests: [{ id: 'a', method: 'GET', path: '/api/v1/users?limit=1' }] }),
        });
        await waitUntil(() => linesOf(file).filter((l) => l.event === 'access_denied' && l.path === '/api/v1/users').length === 2, { what: 'the batched request' });
    });
    const text = JSON.stringify(lines);
    for (const secret of [SECRET, bad, bad.split('.')[2], viewer.split('.')[2], 'secret@example.com', 'Ada@example.com', 'Lovelace']) {
        assert.ok(!text.includes(secret), `${secret.slice(0, 20)} in the audit log`);
    }
    assert.deepEqual(lines.filter((l) => l.status < 400), []);
    assert.equal(lines[0].event, 'started');
    assert.deepEqual([lines.at(-1).event, lines.at(-1).code], ['stopped', 0]);
    for (const line of lines) assert.match(line.ts, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
});

test('administration, purges, changes of the configuration, logging out', async () => {
    const other = 'another secret of at least thirty-two bytes';
    await serving({}, async (server, file, folder) => {
        const socket = path.join(folder, 'admin.sock');
        const run = async (...args) => assert.equal((await hasten([...args, '--socket', socket])).code, 0);
        await run('admin', 'status');
        await lineWhere(file, (l) => l.event === 'admin' && l.path === '/admin/status' && l.status === 200, 'a look');
        await run('cache', 'purge', '--tenant', 'company_id=3');
        const purge = await lineWhere(file, (l) => l.event === 'cache_purged', 'the purge');
        assert.equal(purge.by, 'tenant');
        assert.ok(Number.isInteger(purge.entries));
        await run('admin', 'pause');
        await run('admin', 'resume');
        await lineWhere(file, (l) => l.event === 'admin' && l.path === '/admin/resume' && l.method === 'POST', 'a resume');
        const config = { 'audit.file': file, 'admin.socket': socket };
        server.configure(exampleConfig(pg, { ...config, 'auth.jwt.secret': other, 'api.limit.max': 50 }));
        server.signal('SIGHUP');
        const changed = await lineWhere(file, (l) => l.event === 'configuration_changed', 'the change');
        assert.deepEqual(changed.options.split(', ').sort(), ['api.limit.max', 'auth.jwt.secret']);
        server.configure('server: {listen: "127.0.0.1:{{port}}"}\nnonsense: 1\n');
        server.signal('SIGHUP');
        const refused = await lineWhere(file, (l) => l.event === 'configuration_refused', 'the refusal');
        assert.equal(refused.reason, 'bad_configuration');
        const token = sign(member({ sub: 'u1', jti: 'j1' }), other);
        assert.equal((await server.get('/api/v1/auth/logout', { method: 'POST', token })).status, 204);
        const logout = await lineWhere(file, (l) => l.event === 'logout', 'the logout');
        assert.deepEqual([logout.role, logout.outcome], ['member', 'done']);
        assert.equal((await server.get(WHERE, { token })).status, 401);
        await lineWhere(file, (l) => l.reason === 'revoked', 'the token after it');
        assert.ok(!fs.readFileSync(file, 'utf8').includes(other));
    });
});

test('the file: 0600, appended to, opened anew at SIGHUP', async () => {
    await serving({}, async (server, file) => {
        assert.equal(fs.statSync(file).mode & 0o777, 0o600);
        await server.get(WHERE, { token: 'x.y.z' });
        await lineWhere(file, (l) => l.event === 'authentication_failed', 'the first');
        const old = `${file}.1`;
        fs.renameSync(file, old);
        await server.get(WHERE, { token: 'x.y.z' });
        await waitUntil(() => linesOf(old).filter((l) => l.event === 'authentication_failed').length === 2, { what: 'the old file to be written still' });
        server.signal('SIGHUP');
        await waitUntil(() => fs.existsSync(file), { what: 'the new file' });
        await server.get(WHERE, { token: 'x.y.z' });
        await lineWhere(file, (l) => l.event === 'authentication_failed', 'the third');
        assert.equal(linesOf(old).filter((l) => l.event === 'authentication_failed').length, 2);
        await server.stop();
        await server.spawn();
        assert.deepEqual(linesOf(file).map((l) => l.event), ['authentication_failed', 'stopped', 'started']);
    });
});

test('to syslog: one datagram a line, facility authpriv', async () => {
    const folder = tempDir('syslog');
    const socket = path.join(folder, 'log');
    const got = path.join(folder, 'got');
    const daemon = spawn('python3', ['-u', '-c', `
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); s.bind(sys.argv[1]); print("up", flush=True)
with open(sys.argv[2], "ab", buffering=0) as f:
    while True: f.write(s.recv(65536) + b"\\n")`, socket, got], { stdio: ['ignore', 'pipe', 'inherit'] });
    try {
        await new Promise((resolve) => { daemon.stdout.once('data', resolve); });
        fs.chmodSync(folder, 0o755);
        fs.chmodSync(socket, 0o777);
        await serving({ 'audit.file': undefined, 'audit.syslog': socket }, async (server) => {
            await Promise.all(Array.from({ length: 5 }, () => server.get(WHERE, { token: 'x.y.z' })));
            await waitUntil(() => fs.existsSync(got) && fs.readFileSync(got, 'utf8').split('authentication_failed').length === 6, { what: 'five datagrams' });
            for (const line of fs.readFileSync(got, 'utf8').trim().split('\n')) {
                const [, body] = /^<86>hasten\[\d+\]: (\{.*\})$/.exec(line);
                assert.ok(JSON.parse(body).event);
            }
        });
    } finally {
        daemon.kill();
    }
});

test('a full disk: requests go on, one line of the log and a metric tell', async () => {
    await serving({ 'audit.file': '/dev/full' }, async (server) => {
        for (let i = 0; i < 5; i++) assert.equal((await server.get(WHERE, { token: 'x.y.z' })).status, 401);
        assert.equal((await server.get(WHERE)).status, 200);
        await server.waitLog('audit log lost');
        const lost = Number(/^hasten_audit_lines_lost_total (\d+)/m.exec((await server.get('/metrics')).text)[1]);
        assert.ok(lost >= 5, `${lost}`);
        assert.equal(server.log.split('audit log lost').length, 2, 'once');
        assert.match(server.log, /No space left on device/);
    });
});
