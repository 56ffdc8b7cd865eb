// SPDX-License-Identifier: Apache-2.0
// Who asks (A10): tokens good and bad, roles, the anonymous, and row-level security for two companies.

import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig, hasten } from './harness/hasten.mjs';
import { base64url, now, rsaPair, sign, tamper } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';

const TABLES = ['companies', 'branches', 'staff', 'services', 'clients', 'appointments', 'invoices', 'payments', 'users'];
const pair = rsaPair();
let pg;
let server;

const member = (company, more = {}) => ({ role: 'member', company_id: company, ...more });

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    server = await Hasten.start(exampleConfig(pg, {
        'auth.jwt.public_key': pair.publicKey, 'auth.jwt.clock_skew': '5s', 'auth.jwt.max': '4KiB',
    }));
});

after(async () => {
    await server?.stop();
    await pg?.close();
});

async function assertRefused(options, status, code, where = '/api/v1/clients?limit=1', on = server) {
    const answer = await on.get(where, options);
    assert.equal(answer.status, status, answer.text);
    assert.deepEqual(Object.keys(answer.body), ['code', 'message', 'details', 'hint']);
    assert.equal(answer.body.code, code);
    if (status === 401) assert.match(answer.headers.get('www-authenticate') ?? '', /^Bearer/);
    return answer;
}

async function assertMember(token, company = 3) {
    const answer = await server.get('/api/v1/clients?limit=1', { token });
    assert.equal(answer.status, 200, answer.text);
    assert.equal(answer.body.data[0].companyId, company);
}

test('HS256 and RS256 tokens are accepted', async () => {
    await assertMember(sign(member(3), SECRET));
    await assertMember(sign(member(3), pair.privateKey, { alg: 'RS256' }));
    await assertMember(sign(member(3, { exp: undefined }), SECRET));
    await assertMember(sign(member(3, { exp: now(60) + 0.5, nbf: now(-60) - 0.5 }), SECRET));
    await assertMember(sign(member(3, { aud: ['anything'], big: 12345678901234567890n.toString() }), SECRET));
    const answer = await server.get('/api/v1/clients?limit=1', { headers: { authorization: `bEaReR ${sign(member(3), SECRET)}` } });
    assert.equal(answer.status, 200);
});

test('the dates of a token hold, with the skew and no more', async () => {
    await assertMember(sign(member(3, { exp: now(-1) }), SECRET));
    await assertRefused({ token: sign(member(3, { exp: now(-60) }), SECRET) }, 401, 'bad_token');
    await assertRefused({ token: sign(member(3, { nbf: now(60) }), SECRET) }, 401, 'bad_token');
    await assertRefused({ token: sign(member(3, { exp: String(now(60)) }), SECRET) }, 401, 'bad_token');
});

test('a remembered token ends with its exp', async () => {
    const short = sign(member(3, { exp: now() }), SECRET);     // the five seconds of the skew are left
    await assertMember(short);
    await assertMember(short);
    const end = Date.now() + 15_000;
    let status = 200;
    while (status === 200 && Date.now() < end) {
        await new Promise((resolve) => { setTimeout(resolve, 100); });
        ({ status } = await server.get('/api/v1/clients?limit=1', { token: short }));
    }
    assert.equal(status, 401);
});

test('tampered, unsigned and confused tokens are refused', async () => {
    const good = sign(member(3), SECRET);
    for (const part of [0, 1, 2]) await assertRefused({ token: tamper(good, part) }, 401, 'bad_token');
    await assertRefused({ token: sign(member(3), 'another secret of thirty-two bytes!') }, 401, 'bad_token');
    await assertRefused({ token: sign(member(3), rsaPair().privateKey, { alg: 'RS256' }) }, 401, 'bad_token');
    await assertRefused({ token: sign(member(3), '', { alg: 'none' }) }, 401, 'bad_token');
    await assertRefused({ token: sign(member(3), SECRET, { alg: 'HS512' }) }, 401, 'bad_token');
    await assertRefused({ token: sign(member(3), pair.privateKey, { alg: 'RS512' }) }, 401, 'bad_token');
    // The public key as a shared secret, under both names.
    await assertRefused({ token: sign(member(3), pair.publicKey) }, 401, 'bad_token');
    const text = `${base64url('{"alg":"RS256"}')}.${base64url(JSON.stringify(member(3)))}`;
    const mac = createHmac('sha256', pair.publicKey).update(text).digest('base64url');
    await assertRefused({ token: `${text}.${mac}` }, 401, 'bad_token');
    await assertRefused({ token: sign(member(3), SECRET, { header: { crit: ['exp'] } }) }, 401, 'bad_token');
    await assertRefused({ token: sign(member(3), SECRET, { header: { typ: 'JWE' } }) }, 401, 'bad_token');
    for (const token of [`${good}.x`, `${good}.`, `${good}=`, good.split('.').slice(0, 2).join('.'), 'x', '..']) {
        await assertRefused({ token }, 401, 'bad_token');
    }
    await assertMember(good);
});

test('claims that PostgreSQL or a second reader would see otherwise are refused', async () => {
    const signed = (payload) => {
        const text = `${base64url('{"alg":"HS256"}')}.${base64url(payload)}`;
        return `${text}.${createHmac('sha256', SECRET).update(text).digest('base64url')}`;
    };
    await assertRefused({ token: signed('{"role":"member","company_id":3,"company_id":4}') }, 401, 'bad_token');
    await assertRefused({ token: signed('{"role":"member","company_id":3,"x":"\\u0000"}') }, 401, 'bad_token');
    await assertRefused({ token: signed(Buffer.from('{"role":"member","x":"\xff"}', 'latin1')) }, 401, 'bad_token');
    await assertRefused({ token: signed('["member"]') }, 401, 'bad_token');
    await assertMember(signed('{ "role" : "member", "company_id" : 3, "n" : 123456789012345678901234567890, "t" : "\\ud83d\\ude00 ä" }'));
});

test('an over-long token is refused, an over-short one too', async () => {
    await assertMember(sign(member(3, { pad: 'x'.repeat(2500) }), SECRET));
    await assertRefused({ token: sign(member(3, { pad: 'x'.repeat(4000) }), SECRET) }, 401, 'bad_token');
    for (const authorization of ['Bearer', 'Basic dXNlcjpwYXNz', 'Bearer a b', 'Token x', 'x']) {
        await assertRefused({ headers: { authorization } }, 401, 'bad_token');
    }
});

test('two Authorization headers are refused', async () => {
    const token = sign(member(3), SECRET);
    const answer = await fetchRaw(`GET /api/v1/clients?limit=1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\nauthorization: Bearer ${token}\r\nConnection: close\r\n\r\n`);
    assert.match(answer, /^HTTP\/1\.1 401 /);
});

function fetchRaw(text) {
    return new Promise((resolve, reject) => {
        const socket = net.connect(server.port, '127.0.0.1', () => socket.write(text));
        let got = '';
        socket.on('data', (data) => { got += data; });
        socket.on('end', () => resolve(got));
        socket.on('error', reject);
    });
}

test('a role must be listed', async () => {
    for (const role of ['postgres', 'authenticator', 'Member', 'member ', '', 'none', 'viewer"; SET ROLE postgres; --']) {
        await assertRefused({ token: sign(member(3, { role }), SECRET) }, 403, 'role_not_allowed');
    }
    await assertRefused({ token: sign({ company_id: 3 }, SECRET) }, 403, 'role_not_allowed');
    await assertRefused({ token: sign(member(3, { role: ['member'] }), SECRET) }, 403, 'role_not_allowed');
});

test('row-level security: each company sees its own rows on every table, and the viewer all', async () => {
    for (const table of TABLES) {
        const column = table === 'companies' ? 'id' : 'company_id';
        const field = table === 'companies' ? 'id' : 'companyId';
        for (const company of [2, 3]) {
            const token = sign(member(company), SECRET);
            const answer = await server.get(`/api/v1/${table}?limit=1000&count=exact&fields=${field}`, { token });
            assert.equal(answer.status, 200, `${table}: ${answer.text}`);
            const expected = await pg.value(`SELECT count(*)::int FROM api.${table} WHERE ${column} = ${company}`, { db: 'clients_plus' });
            assert.ok(expected > 0, `${table} has rows of company ${company}`);
            assert.equal(answer.body.pagination.total, expected, table);
            assert.ok(answer.body.data.every((row) => row[field] === company), table);
        }
    }
    const all = await server.get('/api/v1/companies?count=exact&limit=1');
    assert.equal(all.body.pagination.total, await pg.value('SELECT count(*)::int FROM api.companies', { db: 'clients_plus' }));
});

test('row-level security holds when callers of two companies share connections and batches', async () => {
    const tokens = [1, 2, 3, 4, 5].map((company) => [company, sign(member(company), SECRET)]);
    const asked = Array.from({ length: 400 }, (_, i) => tokens[i % tokens.length]);
    const answers = await Promise.all(asked.map(([, token]) => server.get('/api/v1/clients?limit=5&fields=companyId', { token })));
    answers.forEach((answer, i) => {
        assert.equal(answer.status, 200, answer.text);
        assert.deepEqual([...new Set(answer.body.data.map((row) => row.companyId))], [asked[i][0]]);
    });
});

test('a foreign row is not there, and a member without company sees nothing', async () => {
    const id = await pg.value('SELECT id FROM api.clients WHERE company_id = 2 ORDER BY id LIMIT 1', { db: 'clients_plus' });
    const mine = await server.get(`/api/v1/clients/${id}`, { token: sign(member(2), SECRET) });
    assert.equal(mine.status, 200, mine.text);
    await assertRefused({ token: sign(member(3), SECRET) }, 404, 'no_such_row', `/api/v1/clients/${id}`);
    const none = await server.get('/api/v1/clients', { token: sign({ role: 'member' }, SECRET) });
    assert.deepEqual(none.body.data, []);
});

test('what the anonymous may not read is 401, what a role may not read is 403', async () => {
    await assertRefused({}, 401, '42501', '/api/v1/users?limit=1');
    await assertRefused({ token: sign({ role: 'viewer' }, SECRET) }, 403, '42501', '/api/v1/users?limit=1');
});

test('without an anonymous role a token is needed, and audience and role claim are as configured', async () => {
    const strict = await Hasten.start(exampleConfig(pg, {
        'auth.anonymous_role': undefined, 'auth.jwt.audience': 'salon', 'auth.jwt.role_claim': 'app.role',
    }));
    try {
        const where = '/api/v1/clients?limit=1';
        await assertRefused({}, 401, 'token_required', where, strict);
        const claims = { app: { role: 'member' }, company_id: 2 };
        await assertRefused({ token: sign(claims, SECRET) }, 401, 'bad_token', where, strict);
        await assertRefused({ token: sign({ ...claims, aud: 'other' }, SECRET) }, 401, 'bad_token', where, strict);
        await assertRefused({ token: sign({ ...claims, aud: ['salon', 1] }, SECRET) }, 401, 'bad_token', where, strict);
        await assertRefused({ token: sign({ role: 'member', aud: 'salon' }, SECRET) }, 403, 'role_not_allowed', where, strict);
        await assertRefused({ token: sign(claims, pair.privateKey, { alg: 'RS256' }) }, 401, 'bad_token', where, strict);
        for (const aud of ['salon', ['x', 'salon']]) {
            assert.equal((await strict.get(where, { token: sign({ ...claims, aud }, SECRET) })).status, 200);
        }
        assert.equal((await strict.get('/health/live')).status, 200, 'health needs no token');
    } finally {
        await strict.stop();
    }
});

test('keys that cannot be used are refused at start', async () => {
    for (const [name, value, reason] of [
        ['auth.jwt.secret', 'short', /too short|32 bytes/],
        ['auth.jwt.public_key', 'nonsense', /public.key/i],
        ['auth.jwt.public_key', rsaPair(1024).publicKey, /1024 bits/],
    ]) {
        const broken = new Hasten();
        await broken.prepare(exampleConfig(pg, { [name]: value }));
        const { code, stderr } = await hasten(['serve', '--config', broken.configFile]);
        assert.notEqual(code, 0);
        assert.match(stderr, reason);
    }
});

test('no token appears in the log', async () => {
    const token = sign(member(3), SECRET);
    await assertMember(token);
    await assertRefused({ token: tamper(token) }, 401, 'bad_token');
    await server.waitLog('status=401');
    assert.ok(!server.log.includes(token.split('.')[2]));
    assert.ok(!server.log.includes(SECRET));
});
