// SPDX-License-Identifier: Apache-2.0
// Another configuration for a running server: taken whole or refused whole, and
// no request fails for it.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig, hasten } from './harness/hasten.mjs';
import { sign } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { RawClient } from './harness/raw.mjs';
import { sleep, waitUntil } from './harness/util.mjs';

const OTHER = 'another secret of the tests, also 32 bytes or more';
const WHERE = '/api/v1/clients?limit=3';
let pg;

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
});

after(() => pg?.close());

async function start(t, settings = {}) {
    const config = exampleConfig(pg, { 'database.catalog.poll': '1h', ...settings });
    const server = await Hasten.start(config);
    server.settings = config;
    t.after(() => server.child && server.kill9());
    return server;
}

const count = (server, pattern) => server.log.match(new RegExp(pattern, 'g'))?.length ?? 0;

/** Writes the configuration with these changes, sends SIGHUP, waits for a new line of that event. */
async function reload(server, changes, event = 'configuration changed') {
    const line = `event="${event}"`;
    const already = count(server, line);
    server.configure({ ...server.settings, ...changes });
    server.signal('SIGHUP');
    await waitUntil(() => count(server, line) > already, { what: line });
}

/** Every worker has its own mail: asks until `n` answers in a row are as wanted. */
const settles = (fact, what, n = 20) => waitUntil(async () => {
    for (let i = 0; i < n; i++) if (!await fact()) return false;
    return true;
}, { what });

const limit = async (server, where = '/api/v1/clients') => (await server.get(where)).body.data.length;

test('options take effect at once, in every worker; the log names what changed', async (t) => {
    const server = await start(t, { 'api.limit.default': 5, 'server.workers': 2 });
    assert.equal(await limit(server), 5);
    await reload(server, { 'api.limit.default': 7, 'log.access': false, 'observe.metrics': false, 'api.path': '/v2' });
    assert.match(server.log, /event="configuration changed" options="api\.path, api\.limit\.default, log\.access, observe\.metrics"/);
    await settles(async () => (await server.get('/v2/clients')).body?.data?.length === 7, 'seven rows a page');
    await settles(async () => (await server.get('/metrics')).status === 404, '/metrics to go');
    assert.equal((await server.get('/api/v1/clients')).status, 404);
    const lines = count(server, 'event=request');
    await server.get('/v2/clients');
    await sleep(100);
    assert.equal(count(server, 'event=request'), lines, 'no access log');

    server.configure({ ...server.settings, 'log.format': 'json' });
    server.signal('SIGHUP');
    await waitUntil(() => /^\{"ts":/m.test(server.log), { what: 'a line of JSON' });
    await settles(async () => (await server.get('/api/v1/clients')).body?.data?.length === 5, 'the old path and limit');
    await server.stop();
});

test('limits of the server: bodies, heads, idle connections', async (t) => {
    const server = await start(t);
    const idle = await RawClient.connect(server.port);
    await idle.send('GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n');
    await idle.response();
    await reload(server, { 'server.headers.max': '512B', 'server.idle_timeout': '1s' });
    await idle.closing({ timeout: 15_000 });
    const big = { headers: { 'x-filler': 'f'.repeat(1000) } };
    await settles(async () => (await server.get('/health/live', big)).status === 431, 'long heads to be refused');
    await reload(server, { 'server.headers.max': '64KiB', 'server.body.max': '8KiB' });
    const bigger = { headers: { 'x-filler': 'f'.repeat(14_000) } };
    await settles(async () => (await server.get('/health/live', bigger)).status === 200, 'long heads to be taken');

    // A body that has begun keeps the bound that it began with.
    const head = 'POST /api/v1/clients HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n';
    const chunk = `3e8\r\n${' '.repeat(1000)}\r\n`;
    const begun = await RawClient.connect(server.port);
    await begun.send(head + chunk);
    await sleep(100);
    await reload(server, { 'server.body.max': '1KiB' });
    await begun.send(`${chunk + chunk}0\r\n\r\n`);
    const whole = await begun.response();
    assert.ok(whole.status >= 400 && whole.status < 500 && whole.status !== 413, `${whole.status} ${whole.text}`);
    const next = await RawClient.connect(server.port);
    await next.send(head + chunk + chunk);
    assert.equal((await next.response()).status, 413);
    await server.stop();
});

test('statement_timeout and the size of the pool', async (t) => {
    await pg.sql(`CREATE VIEW api.slow AS SELECT 1 AS id, pg_sleep(1.5)::text AS slept;
                  GRANT SELECT ON api.slow TO viewer`, { db: 'clients_plus' });
    t.after(() => pg.sql('DROP VIEW api.slow', { db: 'clients_plus' }));
    const server = await start(t, { 'server.workers': 2, 'database.pool.max': 12 });
    const ours = () => pg.value("SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'authenticator' AND backend_type = 'client backend'");
    assert.equal((await server.get('/api/v1/slow')).status, 200);
    const begun = server.get('/api/v1/slow');
    await sleep(300);
    await reload(server, { 'database.statement_timeout': '200ms', 'database.pool.close_timeout': '10ms', 'database.pool.reap_interval': '10ms' });
    assert.equal((await begun).status, 200, 'what had begun keeps its time');
    await settles(async () => (await server.get('/api/v1/slow')).status === 504, 'slow statements to be ended', 4);
    assert.equal((await server.get(WHERE)).status, 200);

    await reload(server, { 'database.pool.min': 10, 'database.pool.max': 12 });
    await waitUntil(async () => await ours() >= 11, { what: 'ten connections and the catalog\'s' });
    await reload(server, { 'database.pool.min': 2, 'database.pool.max': 4 });
    await waitUntil(async () => await ours() <= 5, { what: 'four connections and the catalog\'s' });
    // The file alone would be right: with three connections one worker is made.
    await reload(server, { 'server.workers': undefined, 'database.pool.max': 3, 'database.pool.min': 2 }, 'configuration refused');
    assert.match(server.log, /database\.pool\.max is 3 but 2 workers run/);
    await server.stop();
});

test('a secret is rotated in its file: old tokens are refused, new ones accepted', async (t) => {
    const folder = fs.mkdtempSync(path.join(pg.folder, 'secret-'));
    const file = path.join(folder, 'jwt');
    fs.writeFileSync(file, SECRET);
    const server = await start(t, { 'auth.jwt.secret': undefined, 'auth.jwt.secret_file': file });
    const claims = { role: 'member', company_id: 3 };
    const status = async (key) => (await server.get(WHERE, { token: sign(claims, key) })).status;
    const old = sign(claims, SECRET);
    assert.equal((await server.get(WHERE, { token: old })).status, 200, 'and it is remembered from now on');
    assert.equal(await status(OTHER), 401);

    fs.writeFileSync(file, `${OTHER}\n`);
    server.signal('SIGHUP');
    await server.waitLog(/event="configuration changed" options=auth\.jwt\.secret/);
    await settles(async () => await status(OTHER) === 200, 'the new secret');
    assert.equal((await server.get(WHERE, { token: old })).status, 401, 'also the remembered one');
    assert.equal(await status(SECRET), 401);

    fs.writeFileSync(file, 'short');
    server.signal('SIGHUP');
    await server.waitLog(/event="configuration refused".*auth\.jwt\.secret/);
    assert.equal(await status(OTHER), 200);
    for (const secret of [SECRET, OTHER]) assert.ok(!server.log.includes(secret), 'no secret in the log');
    await server.stop();
});

test('a role is added, and the anonymous one taken away', async (t) => {
    const server = await start(t, { 'auth.roles': ['viewer'] });
    const token = sign({ role: 'member', company_id: 3 }, SECRET);
    const refused = await server.get(WHERE, { token });
    assert.deepEqual([refused.status, refused.body.code], [403, 'role_not_allowed']);
    await reload(server, { 'auth.roles': ['viewer', 'member'], 'auth.anonymous_role': undefined });
    await settles(async () => (await server.get(WHERE, { token })).status === 200, 'the new role');
    await settles(async () => (await server.get(WHERE)).status === 401, 'the anonymous to be refused');

    // A role that is not there is found out before anything changes.
    await reload(server, { 'auth.roles': ['viewer', 'no_such_role'] }, 'configuration refused');
    assert.match(server.log, /event="configuration refused".*no_such_role/);
    assert.equal((await server.get(WHERE, { token })).status, 200);
    assert.equal((await server.get('/health')).body.status, 'ok');
    await server.stop();
});

test('a bad file is refused with file, line and reason; the old configuration serves on', async (t) => {
    const server = await start(t, { 'api.limit.default': 5 });
    const good = fs.readFileSync(server.configFile, 'utf8');
    const cases = [
        ['log:\n  level: loud\n', /hasten\.yaml:2: log\.level: found .*loud.*expected debug, info, warn or error/],
        ['api: [\n', /configuration refused.*hasten\.yaml:/],
        ['api:\n  limitt: 3\n', /hasten\.yaml:2: .*limitt/],
    ];
    for (const [text, reason] of cases) {
        const already = count(server, 'configuration refused');
        fs.writeFileSync(server.configFile, text);
        server.signal('SIGHUP');
        await waitUntil(() => count(server, 'configuration refused') === already + 1, { what: 'a refusal' });
        assert.match(server.log.split('\n').filter((line) => line.includes('configuration refused')).at(-1), reason);
        assert.equal(await limit(server), 5);
    }
    fs.rmSync(server.configFile);
    server.signal('SIGHUP');
    await server.waitLog(/configuration refused.*cannot read the configuration file/);
    assert.equal(await limit(server), 5);
    fs.writeFileSync(server.configFile, good);
    await reload(server, { 'api.limit.default': 6 });
    await settles(async () => await limit(server) === 6, 'the next good one');
    await server.stop();
});

test('what needs a restart is named, each time, and the rest is taken', async (t) => {
    const server = await start(t, { 'api.limit.default': 5, 'server.workers': 1 });
    const changes = { 'api.limit.default': 6, 'server.workers': 2, 'database.url': pg.url({ user: 'postgres', db: 'postgres' }) };
    await reload(server, changes, 'restart needed');
    assert.match(server.log, /event="restart needed" options="server\.workers, database\.url"/);
    await settles(async () => await limit(server) === 6, 'the limit');
    await reload(server, changes, 'restart needed');
    assert.equal((await server.get('/health')).body.components.workers.count, 1);
    const { code, stdout } = await hasten(['config', 'reference', 'options']);
    assert.equal(code, 0);
    for (const name of ['server.workers', 'database.url', 'admin.socket']) {
        assert.match(stdout, new RegExp(`\\| \`${name.replaceAll('.', '\\.')}\`.*Needs a restart`));
    }
    assert.doesNotMatch(stdout, /\| `log\.level`.*Needs a restart/);
    await server.stop();
});

test('NOTIFY hasten: reload reads the catalog, reload config the file', async (t) => {
    const server = await start(t, { 'api.limit.default': 5 });
    const loads = () => count(server, 'catalog read');
    const before = loads();
    await pg.sql("NOTIFY hasten, 'reload'", { db: 'clients_plus' });
    await waitUntil(() => loads() === before + 1, { what: 'another read' });
    await pg.sql("NOTIFY hasten, 'something else'", { db: 'clients_plus' });
    await sleep(300);
    assert.equal(loads(), before + 1, 'nothing has changed');
    server.configure({ ...server.settings, 'api.limit.default': 6 });
    await pg.sql("NOTIFY hasten, 'reload config'", { db: 'clients_plus' });
    await settles(async () => await limit(server) === 6, 'the new limit');
    await server.stop();
});

test('while the database is away: the configuration waits for it', async (t) => {
    const server = await start(t, { 'api.limit.default': 5, 'database.pool.retry_max': '200ms' });
    await pg.stop();
    t.after(() => pg.child || pg.start());
    server.configure({ ...server.settings, 'api.limit.default': 6 });
    server.signal('SIGHUP');
    await server.waitLog(/event="configuration waits"/);
    await sleep(600);
    assert.equal(count(server, 'configuration waits'), 1, 'said once');
    await pg.start();
    await settles(async () => (await server.get('/api/v1/clients')).body?.data?.length === 6, 'the new limit');
    await server.stop();
});

test('twenty reloads under load: no request fails, none sees half of one', async (t) => {
    const server = await start(t, { 'server.workers': 2, 'api.limit.default': 5, 'database.statement_timeout': '30s' });
    const token = sign({ role: 'member', company_id: 3 }, SECRET);
    let over = false;
    const bad = [];
    let answers = 0;
    const ask = async (i) => {
        while (!over) {
            const answer = await server.get('/api/v1/clients', i % 2 ? { token } : undefined);
            answers++;
            if (answer.status !== 200 || ![5, 6].includes(answer.body.data.length)) bad.push(`${answer.status} ${answer.text}`);
        }
    };
    const all = Promise.all(Array.from({ length: 8 }, (_, i) => ask(i)));
    for (let i = 0; i < 20; i++) {
        await reload(server, { 'api.limit.default': 6 - i % 2, 'database.statement_timeout': `${20 + i}s`, 'server.body.max': `${i + 1}KiB` });
    }
    over = true;
    await all;
    assert.deepEqual(bad.slice(0, 3), []);
    assert.ok(answers > 100, `${answers} answers`);
    await server.stop();
});
