// SPDX-License-Identifier: Apache-2.0
// The pool (C1, C2) through the whole server: batches of many callers, a restart under load, TLS, bounds.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Hasten, SECRET, exampleConfig } from './harness/hasten.mjs';
import { sign } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { makeCertificates, tempDir, waitUntil } from './harness/util.mjs';

let pg;
const tls = makeCertificates(tempDir('tls'));
const other = makeCertificates(tempDir('tls'));

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1, tls });
});

after(() => pg?.close());

async function metric(server, name) {
    const { text } = await server.get('/metrics');
    return Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)[1]);
}

const token = (company) => sign({ role: 'member', company_id: company }, SECRET);

test('64 tenants share batches, and none sees a row of another', async () => {
    const server = await Hasten.start(exampleConfig(pg, { 'server.workers': 1, 'database.pool.max': 6 }));
    const tokens = Array.from({ length: 50 }, (_, i) => token(i + 1));
    await Promise.all(Array.from({ length: 64 }, async (_, i) => {
        for (let round = 0; round < 20; round++) {
            const company = (i + round) % 50;
            const answer = await server.get('/api/v1/clients?limit=3', { token: tokens[company] });
            assert.equal(answer.status, 200, answer.text);
            for (const row of answer.body.data) assert.equal(row.companyId, company + 1);
        }
    }));
    const [queries, batches] = [await metric(server, 'hasten_pg_queries_total'), await metric(server, 'hasten_pg_batches_total')];
    // How full they are depends on how fast node asks; tests/unit/pg counts that.
    assert.ok(queries > batches, `${queries} queries in ${batches} batches`);
    const open = await pg.value("SELECT count(*)::int FROM pg_stat_activity WHERE usename = 'authenticator' AND query NOT LIKE 'LISTEN%'");
    assert.ok(open <= 6 + 1, `${open} connections of at most 6, and the control thread's`);
    await server.stop();
});

test('PostgreSQL restarts under load: right answers or 503 with Retry-After, then all is well', async () => {
    const server = await Hasten.start(exampleConfig(pg, { 'database.pool.acquire_timeout': '200ms' }));
    const seen = { 200: 0, 503: 0 };
    let running = true;
    const load = Array.from({ length: 16 }, async () => {
        while (running) {
            const answer = await server.get('/api/v1/clients?limit=1', { token: token(3) });
            assert.ok(answer.status in seen, answer.text);
            seen[answer.status]++;
            if (answer.status === 503) assert.ok(answer.headers.get('retry-after'), answer.text);
            else assert.equal(answer.body.data[0].companyId, 3);
        }
    });
    await waitUntil(() => seen[200] > 100, { what: 'answers before' });
    await pg.stop('immediate');
    await waitUntil(() => seen[503] > 10, { what: 'refusals during the outage' });
    await pg.start();
    const before = seen[200];
    await waitUntil(() => seen[200] > before + 100, { what: 'answers after' });
    running = false;
    await Promise.all(load);
    await server.stop();
});

test('TLS with verify-full: the right certificate serves, a foreign one does not', async () => {
    const config = (ca) => exampleConfig(pg, {
        'database.application_name': 'tls',
        'database.url': pg.url({ user: 'authenticator', db: 'clients_plus', tcp: true, host: 'localhost', sslmode: 'verify-full', sslrootcert: ca }),
    });
    const server = await Hasten.start(config(tls.ca));
    const answer = await server.get('/api/v1/clients?limit=1000&fields=id,firstName,lastName,email,notes', { token: token(3) });
    assert.equal(answer.status, 200, answer.text);
    const [used, all] = (await pg.value("SELECT count(*) FILTER (WHERE s.ssl) || ' ' || count(*) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.application_name = 'tls'")).split(' ');
    assert.equal(used, all);
    assert.ok(Number(all) > 0);
    await server.stop();

    const refused = await Hasten.start(config(other.ca), { ready: false });
    await refused.waitLog(/certificate verify failed/);
    await refused.kill9();
});

test('a server that is not there is passed over for the next in database.url', async () => {
    const url = `postgresql://authenticator@127.0.0.1:1,localhost:${pg.port}/clients_plus`;
    const server = await Hasten.start(exampleConfig(pg, { 'database.url': url }));
    const answer = await server.get('/api/v1/clients?limit=1', { token: token(3) });
    assert.equal(answer.status, 200, answer.text);
    await server.stop();
});
