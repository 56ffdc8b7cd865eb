// SPDX-License-Identifier: Apache-2.0
// Keys and who holds them (A10): every algorithm, sets of keys from a file and a server with rotation, API keys,
// logging out, roles by path and all of them.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig, hasten } from './harness/hasten.mjs';
import { base64url, now, pairFor, sign, signText } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { tempDir, waitUntil } from './harness/util.mjs';

const WHERE = '/api/v1/clients?limit=1&fields=companyId';
const member = (company, more = {}) => ({ role: 'member', company_id: company, ...more });
let pg;

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
});

after(async () => {
    await pg?.close();
});

/** Runs with a server of that configuration; it is stopped, and its end judged, whatever comes. */
async function serving(config, run, options = { env: { no_proxy: '*', NO_PROXY: '*' } }) {
    const server = await Hasten.start(exampleConfig(pg, config), options);
    try {
        await run(server);
    } finally {
        await server.stop();
    }
}

async function assertIn(server, options, company = 3) {
    const answer = await server.get(WHERE, options);
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.data[0].companyId, company);
}

async function assertOut(server, options, status = 401, code = 'bad_token') {
    const answer = await server.get(WHERE, options);
    assert.equal(answer.status, status, answer.text);
    assert.equal(answer.body.code, code);
    return answer;
}

/** A server of JWK sets: `keys` is what it gives, `broken` makes it fail; counts what it is asked. */
async function jwksServer({ tls } = {}) {
    const state = { keys: [], broken: false, asked: 0 };
    const handle = (req, res) => {
        state.asked++;
        if (state.broken) return res.writeHead(500).end('no');
        if (req.url === '/long') return res.end(' '.repeat(400_000));
        if (req.url === '/moved') return res.writeHead(302, { location: '/jwks.json' }).end();
        return res.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify({ keys: state.keys }));
    };
    const server = tls ? https.createServer(tls, handle) : http.createServer(handle);
    await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
    const close = () => new Promise((resolve) => { server.close(resolve); server.closeAllConnections(); });
    return Object.assign(state, { url: `${tls ? 'https' : 'http'}://127.0.0.1:${server.address().port}`, close });
}

test('each algorithm with a public key in PEM, and no other', async () => {
    for (const alg of ['RS256', 'PS384', 'ES256', 'ES384', 'ES512', 'EdDSA']) {
        const pair = pairFor(alg);
        const rsa = /^[RP]S/.test(alg) ? { 'auth.jwt.rsa_algorithm': alg } : {};
        await serving({ 'auth.jwt.secret': undefined, 'auth.jwt.public_key': pair.publicKey, ...rsa }, async (server) => {
            await assertIn(server, { token: sign(member(3), pair.privateKey, { alg }) });
            await assertOut(server, { token: sign(member(3), pairFor(alg).privateKey, { alg }) });
            // The same key by another algorithm of its kind; the public key as a secret.
            const other = { RS256: 'PS256', PS384: 'PS256', ES256: undefined }[alg];
            if (other) await assertOut(server, { token: sign(member(3), pair.privateKey, { alg: other }) });
            for (const hs of ['HS256', 'HS384', 'HS512']) {
                await assertOut(server, { token: sign(member(3), pair.publicKey, { alg: hs }) });
            }
            await assertOut(server, { token: sign(member(3), '', { alg: 'none' }) });
        });
    }
});

test('secrets: HS512 by option, base64 in either alphabet, a JWK, a set of them', async () => {
    const bytes = Buffer.alloc(64, 0xfb);
    await serving({ 'auth.jwt.secret': bytes.toString('base64'), 'auth.jwt.secret_is_base64': true, 'auth.jwt.secret_algorithm': 'HS512' }, async (server) => {
        await assertIn(server, { token: sign(member(3), bytes, { alg: 'HS512' }) });
        await assertOut(server, { token: sign(member(3), bytes) });
        await assertOut(server, { token: sign(member(3), bytes.toString('base64'), { alg: 'HS512' }) });
    });
    const pair = pairFor('ES256');
    const set = { keys: [{ kty: 'oct', k: base64url(bytes), alg: 'HS384', kid: 's' }, pair.jwk({ kid: 'e', use: 'sig' }), { kty: 'unheard of' }] };
    await serving({ 'auth.jwt.secret': JSON.stringify(set) }, async (server) => {
        await assertIn(server, { token: sign(member(3), bytes, { alg: 'HS384' }) });
        await assertIn(server, { token: sign(member(3), pair.privateKey, { alg: 'ES256', header: { kid: 'e' } }) });
        await assertOut(server, { token: sign(member(3), pair.privateKey, { alg: 'ES256', header: { kid: 's' } }) });
        await assertOut(server, { token: sign(member(3), bytes, { alg: 'HS256' }) });
    });
});

test('what cannot be a key is refused at start, with the reason', async () => {
    const weak = pairFor('ES256').jwk();
    for (const [name, value, reason] of [
        ['auth.jwt.secret', JSON.stringify({ keys: [{ kty: 'EC', crv: 'P-256', x: weak.x, y: weak.x }] }), /no point of its curve/],
        ['auth.jwt.secret', JSON.stringify({ keys: [{ kty: 'RSA', use: 'enc', n: 'AQAB', e: 'AQAB' }] }), /No key in it/],
        ['auth.jwt.secret', '{"keys": "there are none in this text"}', /not a JSON object with an array/],
        ['auth.jwt.secret_algorithm', 'HS512', /HS512 needs 64/],
        ['auth.jwt.jwks', '/nowhere/jwks.json', /No such file/],
        ['auth.jwt.role_claim', '.roles[?(@ = "x")]', /byte 12/],
        ['auth.keys.list', 'billing: abc role=member', /64 hexadecimal digits/],
        ['auth.keys.header', 'a b', /header/],
        ['auth.logout.file', '/nowhere/list', /cannot be written/],
        ['audit.file', '/nowhere/audit', /cannot be opened/],
    ]) {
        const broken = new Hasten();
        await broken.prepare(exampleConfig(pg, { [name]: value }));
        const { code, stderr } = await hasten(['serve', '--config', broken.configFile]);
        assert.notEqual(code, 0, name);
        assert.match(stderr, reason);
        assert.ok(!stderr.includes(SECRET));
        if (/file$|jwks$/.test(name)) continue;     // what lies outside of the configuration is looked at by serve alone
        const checked = await hasten(['config', 'check', '--config', broken.configFile]);
        assert.equal(checked.code, 2, name);
        assert.match(checked.stderr, reason);
    }
});

test('a set from a server: kid, rotation on an unknown one, the old set while it fails', async () => {
    const issuer = await jwksServer();
    const [a, b, c] = [pairFor('RS256'), pairFor('ES256'), pairFor('EdDSA')];
    issuer.keys = [a.jwk({ kid: 'a', alg: 'RS256', use: 'sig' })];
    const tokenOf = (pair, kid) => sign(member(3), pair.privateKey, { alg: pair.alg, header: { kid } });
    try {
        await serving({ 'auth.jwt.jwks': `${issuer.url}/moved`, 'auth.jwt.jwks_retry': '200ms', 'auth.jwt.jwks_interval': '1h' }, async (server) => {
            await assertIn(server, { token: tokenOf(a, 'a') });
            await assertIn(server, { token: sign(member(3), SECRET) });
            await assertOut(server, { token: tokenOf(b, 'a') });
            issuer.keys = [b.jwk({ kid: 'b' }), c.jwk({ kid: 'c' })];
            await assertIn(server, { token: tokenOf(a, 'a') });
            await assertOut(server, { token: tokenOf(b, 'b') });
            await waitUntil(async () => (await server.get(WHERE, { token: tokenOf(b, 'b') })).status === 200, { what: 'the new key' });
            await assertIn(server, { token: tokenOf(c, 'c') });
            await assertOut(server, { token: tokenOf(a, 'a') });    // also where it was remembered
            issuer.broken = true;
            const before = issuer.asked;
            await assertOut(server, { token: tokenOf(a, 'z') });
            await server.waitLog('keys for tokens not read');
            assert.ok(issuer.asked > before);
            await assertIn(server, { token: tokenOf(b, 'b') });
            issuer.broken = false;
            await server.waitLog('keys for tokens read again');
            const metrics = (await server.get('/metrics')).text;
            assert.match(metrics, /hasten_auth_keys_failed_total [1-9]/);
        });
    } finally {
        await issuer.close();
    }
});

test('unknown kids do not make hasten ask more often than it may', async () => {
    const issuer = await jwksServer();
    const pair = pairFor('ES256');
    issuer.keys = [pair.jwk({ kid: 'a' })];
    try {
        await serving({ 'auth.jwt.jwks': issuer.url, 'auth.jwt.jwks_retry': '1h', 'auth.jwt.jwks_interval': '1h' }, async (server) => {
            for (let i = 0; i < 50; i++) await assertOut(server, { token: sign(member(3), pair.privateKey, { alg: 'ES256', header: { kid: `x${i}` } }) });
            assert.equal(issuer.asked, 1);
        });
    } finally {
        await issuer.close();
    }
});

test('a server that is away at start: 503 until it is there; a secret that it publishes is none', async () => {
    const issuer = await jwksServer();
    const pair = pairFor('ES256');
    issuer.broken = true;
    issuer.keys = [pair.jwk({ kid: 'a' }), { kty: 'oct', k: base64url(SECRET), kid: 'o' }];
    try {
        await serving({ 'auth.jwt.secret': undefined, 'auth.jwt.jwks': issuer.url, 'auth.jwt.jwks_retry': '100ms' }, async (server) => {
            const token = sign(member(3), pair.privateKey, { alg: 'ES256', header: { kid: 'a' } });
            const answer = await assertOut(server, { token }, 503, 'keys_unavailable');
            assert.ok(answer.headers.get('retry-after'));
            issuer.broken = false;
            await waitUntil(async () => (await server.get(WHERE, { token })).status === 200, { what: 'the set' });
            await assertOut(server, { token: sign(member(3), SECRET, { header: { kid: 'o' } }) });
        });
    } finally {
        await issuer.close();
    }
});

test('a set over TLS: certificates count', async () => {
    const folder = tempDir('tls');
    const [key, cert] = ['key.pem', 'cert.pem'].map((name) => path.join(folder, name));
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
        '-subj', '/CN=issuer', '-addext', 'subjectAltName=IP:127.0.0.1', '-keyout', key, '-out', cert], { stdio: 'ignore' });
    fs.chmodSync(folder, 0o755);
    const issuer = await jwksServer({ tls: { key: fs.readFileSync(key), cert: fs.readFileSync(cert) } });
    const pair = pairFor('ES256');
    issuer.keys = [pair.jwk({ kid: 'a' })];
    const token = sign(member(3), pair.privateKey, { alg: 'ES256' });
    try {
        await serving({ 'auth.jwt.jwks': issuer.url, 'auth.jwt.jwks_ca_file': cert }, async (server) => {
            await assertIn(server, { token });
        });
        await serving({ 'auth.jwt.jwks': issuer.url }, async (server) => {
            await assertOut(server, { token }, 503, 'keys_unavailable');
            assert.match(server.log, /keys for tokens not read.*certificate/i);
        });
        assert.equal(issuer.asked, 1);
    } finally {
        await issuer.close();
    }
});

test('a set from a file is read again; a reload with a source that cannot be read is refused', async () => {
    const folder = tempDir('jwks');
    const file = path.join(folder, 'jwks.json');
    const [a, b] = [pairFor('ES384'), pairFor('PS256')];
    fs.writeFileSync(file, JSON.stringify({ keys: [a.jwk({ kid: 'a' })] }));
    const config = { 'auth.jwt.jwks': file, 'auth.jwt.jwks_interval': '1s' };
    await serving(config, async (server) => {
        await assertIn(server, { token: sign(member(3), a.privateKey, { alg: 'ES384', header: { kid: 'a' } }) });
        fs.writeFileSync(file, JSON.stringify({ keys: [b.jwk({ kid: 'b', alg: 'PS256' })] }));
        const token = sign(member(3), b.privateKey, { alg: 'PS256', header: { kid: 'b' } });
        await waitUntil(async () => (await server.get(WHERE, { token })).status === 200, { what: 'the new file' });
        const issuer = await jwksServer();
        try {
            for (const [source, reason] of [['http://127.0.0.1:1/', 'fetched'], [`${issuer.url}/long`, 'longer than 262144 bytes'], [`${issuer.url}/`, 'No key in it']]) {
                server.configure(exampleConfig(pg, { ...config, 'auth.jwt.jwks': source }));
                server.signal('SIGHUP');
                await server.waitLog(new RegExp(`configuration refused.*${reason}`));
            }
        } finally {
            await issuer.close();
        }
        await assertIn(server, { token });
        const other = path.join(folder, 'other.json');
        fs.writeFileSync(other, JSON.stringify(a.jwk()));
        server.configure(exampleConfig(pg, { ...config, 'auth.jwt.jwks': other }));
        server.signal('SIGHUP');
        await server.waitLog('configuration changed');
        await waitUntil(async () => (await server.get(WHERE, { token })).status === 401, { what: 'the other file' });
        await assertIn(server, { token: sign(member(3), a.privateKey, { alg: 'ES384' }) });
    });
});

test('the role by a path of its own, as PostgREST writes it', async () => {
    for (const [claim, claims] of [
        ['.app.roles[1]', { app: { roles: ['x', 'member'] } }],
        ['."https://x/role"', { 'https://x/role': 'member' }],
        ["$['https://x/role'].key", { 'https://x/role': { key: 'member' } }],
        ['.roles[?(@ == "member")]', { roles: ['x', 'member'] }],
        ['.roles[?(@ ^== "mem")]', { roles: ['x', 'member'] }],
        ["$$.roles[?search(@, '^mem.*r$$')]", { roles: ['x', 'member'] }],
        ['.group[0][1:-1]', { group: ['/member/'] }],
    ]) {
        await serving({ 'auth.jwt.role_claim': claim }, async (server) => {
            await assertIn(server, { token: sign({ company_id: 3, ...claims }, SECRET) });
            await assertOut(server, { token: sign({ company_id: 3, role: 'member' }, SECRET) }, 403, 'role_not_allowed');
        });
    }
});

test('claims as PostgREST judges them, where asked for', async () => {
    await serving({ 'auth.jwt.claims': 'postgrest', 'auth.jwt.audience': 'api' }, async (server) => {
        for (const aud of [undefined, null, [], 'api', ['x', 'api']]) await assertIn(server, { token: sign(member(3, { aud }), SECRET) });
        for (const aud of ['x', ['x'], 5, [5]]) await assertOut(server, { token: sign(member(3, { aud }), SECRET) });
        await assertOut(server, { token: sign(member(3, { iat: now(120) }), SECRET) });
        const answer = await server.get('/api/v1/companies?limit=1', { token: sign({ sub: 'x' }, SECRET) });
        assert.equal(answer.status, 200, answer.text);   // the anonymous role's
        await assertOut(server, { token: sign({ role: 'postgres' }, SECRET) }, 403, 'role_not_allowed');
    });
});

test("what is wrong with a token, in PostgREST's words at its addresses", async () => {
    await serving({ 'auth.jwt.claims': 'postgrest', 'auth.jwt.audience': 'a' }, async (server) => {
        const signed = (claims, key = SECRET) => sign({ role: 'member', ...claims }, key);
        for (const [token, code, message] of [
            ['', 'PGRST301', 'Empty JWT is sent in Authorization header'],
            ['a.b', 'PGRST301', 'Expected 3 parts in JWT; got 2'],
            ['a.b.', 'PGRST301', 'JWT cryptographic operation failed'],
            [signed({}, 'x'.repeat(40)), 'PGRST301', 'No suitable key or wrong key type'],
            [sign(member(3), pairFor('ES256').privateKey, { alg: 'ES256' }), 'PGRST301', 'No suitable key or wrong key type'],
            [signed({ exp: 1 }), 'PGRST303', 'JWT expired'],
            [signed({ nbf: now(500) }), 'PGRST303', 'JWT not yet valid'],
            [signed({ iat: now(500) }), 'PGRST303', 'JWT issued at future'],
            [signed({ aud: 'b' }), 'PGRST303', 'JWT not in audience'],
            [signed({ aud: 7 }), 'PGRST303', "The JWT 'aud' claim must be a string or an array of strings"],
            [signed({ exp: 'soon' }), 'PGRST303', "The JWT 'exp' claim must be a number"],
        ]) {
            const answer = await server.get('/rest/v1/clients?limit=1', { headers: { authorization: `Bearer ${token}` } });
            assert.deepEqual([answer.status, answer.body.code, answer.body.message], [401, code, message]);
        }
    });
    await serving({ 'auth.anonymous_role': undefined }, async (server) => {
        const answer = await server.get('/rest/v1/clients?limit=1');
        assert.deepEqual([answer.status, answer.body.code], [401, 'PGRST302']);
    });
    await serving({ 'auth.jwt.secret': undefined }, async (server) => {
        const answer = await server.get('/rest/v1/clients?limit=1', { token: sign(member(3), SECRET) });
        assert.deepEqual([answer.status, answer.body.code, answer.body.message], [500, 'PGRST300', 'Server lacks JWT secret']);
    });
});

test('auth.roles "*": what the login may become, never itself or a superuser', async () => {
    const login = pg.url({ user: 'authenticator', db: 'clients_plus' });
    await serving({ 'auth.roles': ['*'], 'database.url': login }, async (server) => {
        await assertIn(server, { token: sign(member(3), SECRET) });
        for (const role of ['authenticator', 'postgres', 'pg_read_all_data', '*']) {
            await assertOut(server, { token: sign(member(3, { role }), SECRET) }, 403, 'role_not_allowed');
        }
        const late = { token: sign(member(3, { role: 'late' }), SECRET) };
        await assertOut(server, late, 403, 'role_not_allowed');
        await pg.sql('CREATE ROLE late; GRANT late TO authenticator; GRANT member TO late; NOTIFY hasten', { db: 'clients_plus' });
        await waitUntil(async () => (await server.get(WHERE, late)).status !== 403 || (await server.get(WHERE, late)).body.code === '42501', { what: 'the new role' });
    });
});

/** What `hasten key new` prints: {key, line}. */
async function newKey(...args) {
    const { code, stdout, stderr } = await hasten(['key', 'new', ...args]);
    assert.equal(code, 0, stderr);
    const key = /\b(hsk_[\w-]{43})\n/.exec(stdout)[1];
    const line = stdout.trim().split('\n').at(-1).trim();
    assert.ok(line.includes(createHash('sha256').update(key).digest('hex')));
    assert.ok(!line.includes(key));
    return { key, line };
}

test('API keys: made, shown in any of three headers, ended by their date or a reload', async () => {
    const folder = tempDir('keys');
    const file = path.join(folder, 'keys');
    const one = await newKey('billing', '--role', 'member', '--claims', '{"company_id": 3}');
    const old = await newKey('old', '--role', 'member', '--expires', '2020-01-31');
    const next = await newKey('next', '--role=member', '--expires=2999-01-31T12:00:00Z', '--claims={"company_id":2}');
    assert.notEqual(one.key, old.key);
    fs.writeFileSync(file, `# machines\n${one.line}\n\n${old.line}\n`);
    await serving({ 'auth.keys.list_file': file }, async (server) => {
        for (const headers of [{ 'x-api-key': one.key }, { apikey: one.key }, { authorization: `Bearer ${one.key}` }]) {
            await assertIn(server, { headers });
            await assertIn(server, { headers });
        }
        const batch = await server.get('/api/v1/batch', {
            method: 'POST', headers: { 'x-api-key': one.key, 'content-type': 'application/json' },
            body: JSON.stringify({ requests: [{ id: 'a', method: 'GET', path: WHERE }] }),
        });
        assert.match(batch.text, /"companyId":3/, 'a request of a batch is the key\'s, too');
        await assertOut(server, { headers: { 'x-api-key': old.key } });
        await assertOut(server, { headers: { 'x-api-key': `${one.key.slice(0, -1)}x` } });
        await assertOut(server, { headers: { 'x-api-key': '' } });
        await assertOut(server, { headers: { 'x-api-key': one.key }, token: sign(member(3), SECRET) });
        fs.writeFileSync(file, `${next.line}\n`);
        server.signal('SIGHUP');
        await server.waitLog(/configuration changed.*auth.keys.list/);
        await waitUntil(async () => (await server.get(WHERE, { headers: { 'x-api-key': one.key } })).status === 401, { what: 'the key to go' });
        await assertIn(server, { headers: { 'x-api-key': next.key } }, 2);
        for (const { key } of [one, old, next]) assert.ok(!server.log.includes(key));
    });
    for (const args of [['new', 'x'], ['x'], ['new', 'a b', '--role', 'r'], ['new', 'x', '--role', 'r', '--expires', 'soon'], ['new', 'x', '--role', 'r', '--claims', '[]']]) {
        assert.equal((await hasten(['key', ...args])).code, 2, args.join(' '));
    }
});

test('a key of a role that is not listed is refused at start', async () => {
    const { line } = await newKey('x', '--role', 'postgres');
    const broken = new Hasten();
    await broken.prepare(exampleConfig(pg, { 'auth.keys.list': line }));
    const { code, stderr } = await hasten(['serve', '--config', broken.configFile]);
    assert.notEqual(code, 0);
    assert.match(stderr, /not one of auth\.roles/);
});

test('apikey: a token where there is no Authorization, and nothing beside one', async () => {
    await serving({}, async (server) => {
        const token = sign(member(3), SECRET);
        await assertIn(server, { headers: { apikey: token } });
        await assertIn(server, { headers: { apikey: sign({ role: 'viewer' }, SECRET) }, token });
        await assertIn(server, { headers: { apikey: 'sb_publishable_whatever' }, token });
        await assertOut(server, { headers: { apikey: `${token}x` } });
        assert.equal((await server.get(WHERE, { headers: { apikey: 'no token at all' } })).status, 200, 'the anonymous');
    });
});

test('logging out: on all workers, by jti or by the token, over a restart', async () => {
    const file = path.join(tempDir('logout'), 'list');
    const config = exampleConfig(pg, { 'auth.logout.file': file, 'server.workers': 3 });
    const named = (more) => sign(member(3, { jti: 'j-1', iss: 'us', ...more }), SECRET);
    const server = await Hasten.start(config);
    const plain = sign(member(3), SECRET);
    const ended = [named(), named({ x: 1 })];
    const stays = [named({ iss: 'them' }), named({ jti: 'j-2' }), sign(member(3, { y: 1 }), SECRET)];
    const all = async (tokens, status) => {
        for (const token of tokens) {
            // Each connection may be another worker's.
            const answers = await Promise.all(Array.from({ length: 24 }, () => server.get(WHERE, { token, headers: { connection: 'close' } })));
            assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [status]);
        }
    };
    try {
        await all([plain, ...ended, ...stays], 200);
        for (const token of [plain, ended[0]]) {
            const answer = await server.get('/api/v1/auth/logout', { method: 'POST', token });
            assert.equal(answer.status, 204, answer.text);
            assert.equal((await server.get('/api/v1/auth/logout', { method: 'POST', token })).status, 401);
        }
        await all([plain, ...ended], 401);
        await all(stays, 200);
        assert.equal((await server.get('/api/v1/auth/logout', { method: 'POST' })).status, 401);
        assert.equal((await server.get('/api/v1/auth/logout')).status, 405);
        const lines = fs.readFileSync(file, 'utf8').trim().split('\n');
        assert.equal(lines.length, 2);
        for (const line of lines) assert.match(line, /^\{"id":"[0-9a-f]{32}","exp":\d+\}$/);
        assert.equal(fs.statSync(file).mode & 0o777, 0o600);
        await server.kill9();
        fs.appendFileSync(file, `{"id":"${'0'.repeat(32)}","exp":1000}\n{"id":"00`);
        await server.spawn();
        await all([plain, ...ended], 401);
        await all(stays, 200);
        assert.equal(fs.readFileSync(file, 'utf8').trim().split('\n').length, 2, 'what expired or was torn is gone');
        server.signal('SIGHUP');
        await server.get('/api/v1/auth/logout', { method: 'POST', token: stays[0] });
        await all([plain, stays[0]], 401);
    } finally {
        await server.stop();
    }
});

test('a full list says so, and forgets nobody', async () => {
    await serving({ 'auth.logout.max': 2 }, async (server) => {
        const tokens = [1, 2, 3].map((jti) => sign(member(3, { jti: `${jti}` }), SECRET));
        const answers = [];
        for (const token of tokens) answers.push(await server.get('/api/v1/auth/logout', { method: 'POST', token }));
        assert.deepEqual(answers.map((answer) => answer.status), [204, 204, 503]);
        assert.equal(answers[2].body.code, 'limit_reached');
        await assertOut(server, { token: tokens[0] });
        await assertIn(server, { token: tokens[2] });
    });
    await serving({ 'auth.logout.max': 0 }, async (server) => {
        assert.notEqual((await server.get('/api/v1/auth/logout', { method: 'POST', token: sign(member(3), SECRET) })).status, 204);
    });
});

test('an ECDSA signature written another way is the same token', async () => {
    const pair = pairFor('ES256');
    const N = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551');
    await serving({ 'auth.jwt.public_key': pair.publicKey }, async (server) => {
        const token = signText(JSON.stringify(member(3)), pair.privateKey, { alg: 'ES256' });
        const [head, claims, signature] = token.split('.');
        const bytes = Buffer.from(signature, 'base64url');
        const s = (N - BigInt(`0x${bytes.subarray(32).toString('hex')}`)).toString(16).padStart(64, '0');
        const twin = `${head}.${claims}.${Buffer.concat([bytes.subarray(0, 32), Buffer.from(s, 'hex')]).toString('base64url')}`;
        await assertIn(server, { token: twin });
        assert.equal((await server.get('/api/v1/auth/logout', { method: 'POST', token })).status, 204);
        await assertOut(server, { token: twin });
        for (const cut of [63, 65, 0]) {
            const wrong = cut === 65 ? Buffer.concat([bytes, Buffer.alloc(1)]) : bytes.subarray(0, cut);
            await assertOut(server, { token: `${head}.${claims}.${wrong.toString('base64url')}` });
        }
    });
});
