// SPDX-License-Identifier: Apache-2.0
// `hasten demo`, `hasten psql` and `hasten token`: the first minute with the
// program, and what it leaves behind on every way out.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { hasten, hastenBin } from './harness/hasten.mjs';
import { dataRoot, freePort, isAlive, spawnServer, tempDir, waitUntil, within } from './harness/util.mjs';

const run = promisify(execFile);
const SCALE = ['--seed-scale', '0.1'];
const running = new Set();

/** A folder that PostgreSQL's user may enter; `data` in it is the demo's. */
function place(name = 'demo') {
    const folder = tempDir(name, dataRoot);
    fs.chmodSync(folder, 0o755);
    return path.join(folder, 'data');
}

/** A running demo: {url, text, pid, postmaster, stop()}. `text` is what it printed. */
class Demo {
    static async start(data, args = []) {
        const demo = new Demo(data, args);
        await waitUntil(() => demo.how || /what is served here/.test(demo.text),
            { timeout: 120_000, what: 'the demo to be up' });
        assert.equal(demo.how, undefined, demo.text);
        [demo.url] = /http:\/\/127\.0\.0\.1:\d+/.exec(demo.text);
        demo.postmaster = Number(fs.readFileSync(demo.pidFile, 'utf8').split('\n')[0]);
        return demo;
    }

    constructor(data, args) {
        this.pidFile = path.join(data, 'pg/postmaster.pid');
        this.log = path.join(path.dirname(data), `out-${performance.now()}`);
        this.child = spawnServer(hastenBin(), ['demo', '--data', data, '--port', '0', ...args], { log: this.log });
        this.child.ended.then((how) => { this.how = how; });
        running.add(this);
    }

    get text() {
        return fs.existsSync(this.log) ? fs.readFileSync(this.log, 'utf8') : '';
    }

    async stop(signal = 'SIGINT', expected = { code: 0, signal: null }) {
        process.kill(this.child.pid, signal);
        const how = await within(60_000, this.child.ended, 'the end of the demo');
        running.delete(this);
        assert.deepEqual(how, expected, this.text);
        assert.doesNotMatch(this.text, /Sanitizer|runtime error/);
    }

    async get(where) {
        return (await fetch(this.url + where, { signal: AbortSignal.timeout(30_000) })).json();
    }
}

const count = async (data) => (await hasten(['psql', '--data', data, '--', '-XAtc', 'SELECT count(*) FROM api.clients'])).stdout.trim();

let data;
let demo;

before(async () => {
    data = place();
    demo = await Demo.start(data, SCALE);
});

after(() => {
    for (const { child } of running) child.kill('SIGKILL');
});

test('it says what it does, and the printed lines work as they are', async () => {
    const { text } = demo;
    assert.match(text, /0001_schema\.sql {2}\d+\.\d s/);
    assert.match(text, /seed\.sql {2}\d+\.\d s/);
    const lines = text.split('\n').map((line) => line.trim());
    const curls = lines.filter((line) => line.startsWith('curl ') && !line.includes(' | '));
    assert.equal(curls.length, 3);
    const [assignment] = lines.filter((line) => line.startsWith('TOKEN='));

    const script = [assignment, ...curls.map((line) => `${line.replace('curl ', 'curl -sf ')} && echo`)].join('\n');
    const { stdout } = await run('sh', ['-euc', script]);
    const [anyone, clients, appointments] = stdout.trim().split('\n').map((line) => JSON.parse(line));
    assert.equal(anyone.data.length, 3);
    assert.deepEqual(Object.keys(anyone.data[0]), ['id', 'firstName', 'lastName', 'status']);
    assert.equal(clients.data.length, 2);
    assert.ok(clients.data.every((row) => row.companyId === 7));
    assert.ok(clients.pagination.total > 0 && clients.pagination.total < Number(await count(data)));
    assert.ok(appointments.data.every((row) => row.companyId === 7 && row.client.id === row.clientId && row.staff));

    const index = await fetch(`${demo.url}/`);
    assert.equal(index.status, 200);
    assert.match(await index.text(), /clients/);
});

test('asked twice, answered once; an UPDATE in psql, and the database is asked again', async () => {
    const [line] = demo.text.split('\n').filter((it) => it.includes('grep X-Cache'));
    const ask = async () => (await run('sh', ['-c', line])).stdout.trim();
    await waitUntil(async () => await ask() === 'X-Cache: HIT', { what: 'a hit' });
    await psql("UPDATE api.clients SET first_name = 'Zoe' WHERE id = 1");
    await waitUntil(async () => await ask() === 'X-Cache: MISS', { what: 'a miss' });
    assert.match(await (await fetch(`${demo.url}/api/v1/clients/1`)).text(), /"firstName":"Zoe"/);
});

test('it answers `hasten admin` on a socket in its folder', async () => {
    const { code, stdout } = await hasten(['admin', 'status', '--data', data]);
    assert.deepEqual([code, JSON.parse(stdout).data.state], [0, 'running']);
    const reload = await hasten(['admin', 'reload', '--data', data]);
    assert.deepEqual([reload.code, JSON.parse(reload.stdout).data], [0, { changed: [], needsRestart: [] }]);
});

test('PostgreSQL never runs as root, is not on the network, and nobody enters by password', async () => {
    const owner = fs.statSync(`/proc/${demo.postmaster}`).uid;
    assert.notEqual(owner, 0);
    if (process.getuid() !== 0) assert.equal(owner, process.getuid());
    const settings = Object.fromEntries((await psql(
        "SELECT name || '=' || setting FROM pg_settings WHERE name IN ('listen_addresses', 'wal_level', 'unix_socket_permissions')",
    )).split('\n').map((line) => line.split('=')));
    assert.deepEqual(settings, { listen_addresses: '127.0.0.1', wal_level: 'logical', unix_socket_permissions: '0700' });
    const port = fs.readFileSync(path.join(data, 'port'), 'utf8').trim();
    await assert.rejects(run('psql', ['-XAtc', 'SELECT 1', '-h', '127.0.0.1', '-p', port, '-U', 'postgres', '-w', 'postgres']),
        /no password supplied/);
    const secret = fs.statSync(path.join(data, 'jwt.secret'));
    assert.equal(secret.mode & 0o777, 0o600);
});

const psql = async (sql) => {
    const { code, stdout, stderr } = await hasten(['psql', '--data', data, '--', '-XAtc', sql]);
    assert.equal(code, 0, stderr);
    return stdout.trim();
};

test('psql while it runs: the owner, and the exit code of psql', async () => {
    assert.equal(await psql("SELECT current_user || ' in ' || current_database()"), 'postgres in clients_plus');
    const wrong = await hasten(['psql', '--data', data, '--', '-XAtc', 'SELECT wrong']);
    assert.equal(wrong.code, 1);
    assert.match(wrong.stderr, /column "wrong" does not exist/);
    const piped = await hasten(['psql', '--data', data, '--', '-XAt'], { input: 'SELECT 6 * 7;\n' });
    assert.equal(piped.stdout.trim(), '42');
    assert.ok(isAlive(demo.postmaster), 'psql stops only what it started');
});

test('token: claims of every kind; errors say what to do', async () => {
    const token = async (...args) => hasten(['token', '--data', data, ...args]);
    const { stdout, code } = await token('--role', 'member', '--claim', 'company_id=3', '--claim', 'name=Ann=B "C"',
        '--claim', 'ok=true', '--claim', 'zip=0123', '--claim', 'empty=');
    assert.equal(code, 0);
    const { exp, ...claims } = JSON.parse(Buffer.from(stdout.split('.')[1], 'base64url'));
    assert.deepEqual(claims, { role: 'member', company_id: 3, name: 'Ann=B "C"', ok: true, zip: '0123', empty: '' });
    assert.ok(Math.abs(exp - Date.now() / 1000 - 30 * 86400) < 60);
    const answer = await fetch(`${demo.url}/api/v1/companies`, { headers: { authorization: `Bearer ${stdout.trim()}` } });
    assert.deepEqual((await answer.json()).data.map((row) => row.id), [3]);

    for (const [args, status, reason] of [
        [[], 2, /--role is missing\n.*hasten token --role member --claim company_id=7/],
        [['--role'], 2, /--role needs a value/],
        [['--role', 'member', '--claim', 'company'], 2, /NAME=VALUE, not company/],
        [['--role', 'member', '--claim', '=7'], 2, /NAME=VALUE, not =7/],
        [['--role', 'member', '--days', '0'], 2, /--days cannot be "0"/],
        [['--role', 'member', '--clam', 'a=b'], 2, /Did you mean --claim\?/],
        [['--role', 'member', '--claim', `a=${'x'.repeat(20_000)}`], 2, /claims are too long/],
    ]) {
        const failed = await token(...args);
        assert.equal(failed.code, status, args.join(' '));
        assert.equal(failed.stdout, '');
        assert.match(failed.stderr, reason);
    }
    const elsewhere = path.join(path.dirname(data), 'nothing-here');
    for (const words of [['token', '--role', 'member'], ['psql']]) {
        const absent = await hasten([...words, '--data', elsewhere]);
        assert.equal(absent.code, 1);
        assert.match(absent.stderr, /there is no demo in .*nothing-here\n.*Run `hasten demo` first/);
        assert.equal(fs.existsSync(elsewhere), false, 'asking makes nothing');
    }
});

test('Ctrl-C stops PostgreSQL too; psql works without it; a second start finds everything', async () => {
    await psql("CREATE TABLE public.kept AS SELECT 'mine' AS whose");
    const clients = await count(data);
    assert.ok(Number(clients) > 9000);
    await demo.stop('SIGINT');
    assert.equal(isAlive(demo.postmaster), false);
    assert.equal(fs.existsSync(demo.pidFile), false);

    assert.equal(await count(data), clients);
    assert.equal(fs.existsSync(demo.pidFile), false, 'psql took away the server that it brought');

    const refused = await hasten(['demo', '--data', data, '--port', '0', '--seed-scale', '0.2'], { timeout: 60_000 });
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /made with --seed-scale 0\.1\n.*--fresh/);
    assert.equal(fs.existsSync(demo.pidFile), false);

    const before = demo;
    demo = await Demo.start(data);      // no --seed-scale: what is there
    assert.doesNotMatch(demo.text, /\.sql/, 'no migration runs again');
    assert.equal(await count(data), clients);
    assert.equal(await psql('SELECT whose FROM kept'), 'mine');
    assert.notEqual(demo.postmaster, before.postmaster);
});

test('kill -9 leaves no PostgreSQL behind, and the next start does not trip over it', async () => {
    await demo.stop('SIGKILL', { code: null, signal: 'SIGKILL' });
    const { postmaster } = demo;
    demo = await Demo.start(data);      // at once: the old server may still be on its way out
    assert.notEqual(demo.postmaster, postmaster);
    await waitUntil(() => !isAlive(postmaster), { what: 'the old server to end' });
    assert.equal(await psql('SELECT whose FROM kept'), 'mine');
    await demo.stop('SIGTERM');
});

test('--fresh starts over, whatever the pid file of a crash names', async () => {
    const bystander = spawnServer('sleep', ['600'], { log: '/dev/null' });
    fs.writeFileSync(demo.pidFile, `${bystander.pid}\n${path.join(data, 'pg')}\n`);
    const secret = fs.readFileSync(path.join(data, 'jwt.secret'), 'utf8');
    demo = await Demo.start(data, ['--fresh', ...SCALE]);
    assert.ok(isAlive(bystander.pid), 'a stranger with that number was not touched');
    process.kill(bystander.pid);
    assert.equal(await psql("SELECT to_regclass('public.kept') IS NULL"), 't');
    assert.notEqual(fs.readFileSync(path.join(data, 'jwt.secret'), 'utf8'), secret);
    assert.match(demo.text, /seed\.sql/);
});

test('a port that is taken, an application that is none: code 1, the reason, nothing left running', async () => {
    const { port } = new URL(demo.url);
    const other = place('other');
    fs.mkdirSync(other);
    const owner = fs.statSync(other).uid;
    const app = path.join(path.dirname(other), 'shop');
    fs.mkdirSync(path.join(app, 'migrations'), { recursive: true });
    fs.writeFileSync(path.join(app, 'migrations/0001_a.sql'), 'CREATE ROLE shop_login LOGIN;\nCREATE ROLE broken WITH NONSENSE;\n');
    fs.writeFileSync(path.join(app, 'seed.sql'), '');
    const start = (...args) => hasten(['demo', '--data', other, '--port', port, ...args], { timeout: 120_000 });

    const broken = await start('--app', app);
    assert.equal(broken.code, 1);
    assert.match(broken.stderr, /shop\/migrations\/0001_a\.sql:2:25: .*nonsense/i);
    const empty = await start('--app', path.dirname(other));
    assert.equal(empty.code, 1);
    assert.match(empty.stderr, /could not read the folder .*migrations/);

    const taken = await start(...SCALE);
    assert.equal(taken.code, 1);
    assert.match(taken.stderr, /in use/);
    assert.equal(fs.existsSync(path.join(other, 'pg/postmaster.pid')), false);
    assert.equal(fs.statSync(other).uid, owner, 'a folder that was there stays its owner\'s');

    const misused = await hasten(['demo', '--seed-scale', '0.01']);
    assert.equal(misused.code, 2);
    assert.match(misused.stderr, /--seed-scale cannot be "0\.01"/);
    await demo.stop();
});

test('Ctrl-C in the middle of the first start: nothing is left running, the next start completes it', async (t) => {
    const other = place('half');
    const half = new Demo(other, SCALE);
    await waitUntil(() => half.how || /0004_change_stream\.sql/.test(half.text), { timeout: 60_000, what: 'the seed to begin' });
    const postmaster = Number(fs.readFileSync(half.pidFile, 'utf8').split('\n')[0]);
    await half.stop('SIGINT', { code: null, signal: 'SIGINT' });
    await waitUntil(() => !isAlive(postmaster), { timeout: 60_000, what: 'PostgreSQL to end' });

    const whole = await Demo.start(other, SCALE);
    t.after(() => whole.child.kill('SIGKILL'));
    assert.doesNotMatch(whole.text, /migrations\//, 'what was done is not done again');
    assert.match(whole.text, /seed\.sql/);
    assert.equal((await whole.get('/api/v1/clients?count=exact&limit=1')).pagination.total, Number(await count(other)));
    await whole.stop();
});

test('an own port is kept to', async () => {
    const port = await freePort();
    demo = await Demo.start(data, ['--port', String(port)]);
    assert.equal(new URL(demo.url).port, String(port));
    assert.equal((await demo.get('/api/v1/companies/1')).data.id, 1);
    await demo.stop();
    assert.equal(isAlive(demo.postmaster), false);
});
