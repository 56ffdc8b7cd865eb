// SPDX-License-Identifier: Apache-2.0
// Whom hasten logs in as, and whom a caller can become. The rule behind it: row-level security holds
// for whatever hasten runs, so what stands above it is refused, unless the operator names it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig } from './harness/hasten.mjs';
import { sign } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { within } from './harness/util.mjs';

let pg;

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.sql(`
        CREATE ROLE lord LOGIN SUPERUSER;
        CREATE ROLE passer LOGIN NOINHERIT BYPASSRLS;
        CREATE ROLE landlord LOGIN NOINHERIT;
        CREATE ROLE heir LOGIN INHERIT;
        CREATE ROLE stranger LOGIN NOINHERIT;
        GRANT viewer, member TO passer, landlord, heir;
        GRANT landlord TO heir;
        CREATE ROLE deputy NOLOGIN BYPASSRLS;
        GRANT deputy TO authenticator;
        CREATE TABLE api.plots (id int PRIMARY KEY);
        ALTER TABLE api.plots OWNER TO landlord`, { db: 'clients_plus' });
});

after(() => pg?.close());

const config = (user, extra = {}) => exampleConfig(pg, {
    'database.url': pg.url({ user, db: 'clients_plus' }),
    ...extra,
});

/** Starts it, expects it to end by itself with code 1; what it logged. */
async function refusal(t, settings) {
    const server = await Hasten.start(settings, { ready: false });
    t.after(() => server.child && server.kill9());
    const how = await within(20_000, server.child.ended, 'hasten to give up');
    server.child = null;
    server.assertNoReport();
    assert.deepEqual(how, { code: 1, signal: null }, server.log);
    return server.log;
}

test('a login above row-level security is refused, with the reason and the way out', async (t) => {
    const reasons = {
        lord: /it is a superuser/,
        passer: /it has the attribute BYPASSRLS/,
        landlord: /it owns api\.plots/,
        heir: /owns api\.plots, or inherits from the role that does/,
    };
    for (const [user, reason] of Object.entries(reasons)) {
        await t.test(user, async (t) => {
            const log = await refusal(t, config(user));
            assert.match(log, /level=error .*code=unsafe_login/);
            assert.ok(log.includes(`login \\"${user}\\" stands above row-level security`), log);
            assert.match(log, reason);
            assert.match(log, /database\.allow_login/);
        });
    }
});

test('allow_login accepts such a login by its name, and nobody else', async (t) => {
    const server = await Hasten.start(config('passer', { 'database.allow_login': 'passer' }));
    t.after(() => server.child && server.kill9());
    assert.equal((await server.get('/api/v1/clients/1?fields=id')).body.data.id, 1);
    // The request runs as its role all the same: policies hold for viewer and member.
    const token = sign({ role: 'member', company_id: 3 }, SECRET);
    const { body } = await server.get('/api/v1/clients?fields=companyId&count=exact&limit=5', { token });
    assert.ok(body.data.length > 0 && body.data.every((row) => row.companyId === 3), JSON.stringify(body));
    await server.stop();

    const log = await refusal(t, config('passer', { 'database.allow_login': 'lord' }));
    assert.match(log, /BYPASSRLS/);
});

test('a role that the login may not become, or that does not exist, is refused with a hint', async (t) => {
    const notGranted = await refusal(t, config('stranger'));
    assert.ok(notGranted.includes('the login \\"stranger\\" may not become the role \\"viewer\\"'), notGranted);
    assert.ok(notGranted.includes('GRANT \\"viewer\\" TO \\"stranger\\";'), notGranted);

    const absent = await refusal(t, config('authenticator', { 'auth.roles': ['viewer', 'member', 'nobody_knows'] }));
    assert.ok(absent.includes('the role \\"nobody_knows\\" does not exist'), absent);
    assert.match(absent, /take it out of auth\.roles/);

    const above = await refusal(t, config('authenticator', { 'auth.roles': ['viewer', 'deputy'] }));
    assert.ok(above.includes('the role \\"deputy\\" stands above row-level security'), above);
});

test('a right that is lost while serving: the old model stays, health says degraded', async (t) => {
    const server = await Hasten.start(config('authenticator', { 'database.catalog.poll': '100ms' }));
    t.after(async () => {
        await pg.sql('GRANT member TO authenticator');
        if (server.child) await server.kill9();
    });
    await pg.sql('REVOKE member FROM authenticator');
    server.signal('SIGHUP');
    await server.waitLog(/catalog not read.*may not become the role/);
    const health = await server.get('/health');
    assert.equal(health.status, 200);
    assert.equal(health.body.status, 'degraded');
    assert.equal(health.body.components.catalog.status, 'degraded');
    assert.equal((await server.get('/api/v1/clients/1?fields=id')).status, 200);
    const token = sign({ role: 'member', company_id: 3 }, SECRET);
    // Not the caller's fault: 500, and the operator is told what to grant.
    const lost = await server.get('/api/v1/clients?limit=1', { token });
    assert.deepEqual([lost.status, lost.body.code], [500, '42501']);
    assert.match(lost.body.hint, /auth\.roles/);

    await pg.sql('GRANT member TO authenticator');
    await server.waitLog(/catalog not read[^]*event="catalog read"/);
    assert.equal((await server.get('/health')).body.status, 'ok');
    assert.equal((await server.get('/api/v1/clients?limit=1', { token })).status, 200);
    await server.stop();
});

test('who asks: no anonymous role is 401, a role outside auth.roles is 403, none of it reaches the login', async (t) => {
    const server = await Hasten.start(config('authenticator', { 'auth.anonymous_role': undefined, 'auth.roles': ['member'] }));
    t.after(() => server.child && server.kill9());

    const nobody = await server.get('/api/v1/clients');
    assert.equal(nobody.status, 401);
    assert.equal(nobody.body.code, 'token_required');
    assert.match(nobody.headers.get('www-authenticate'), /^Bearer/);

    const ask = (claims, where = '/api/v1/clients?limit=1') => server.get(where, { token: sign(claims, SECRET) });
    for (const role of ['viewer', 'postgres', 'authenticator', 'passer', 'Member', 'member ', '"member"', 'none']) {
        const { status, body } = await ask({ role, company_id: 3 });
        assert.deepEqual([status, body.code], [403, 'role_not_allowed'], role);
    }
    for (const role of [undefined, null, 7, '', ['member'], { member: true }]) {
        const { status } = await ask({ role, company_id: 3 });
        assert.ok(status === 401 || status === 403, `${JSON.stringify(role)}: ${status}`);
    }
    assert.equal((await ask({ role: 'member', company_id: 3 })).status, 200);
    // What the role may not read is refused by PostgreSQL, as 403 for somebody who is known.
    const forbidden = await ask({ role: 'member', company_id: 3 }, '/api/v1/users?fields=id,passwordHash');
    assert.deepEqual([forbidden.status, forbidden.body.code], [403, '42501']);
    // No claim, no row; and never an error.
    assert.deepEqual((await ask({ role: 'member' })).body.data, []);
    await server.stop();
});
