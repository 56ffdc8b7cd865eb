// SPDX-License-Identifier: Apache-2.0
// Writes: one row in a request, and ten thousand. PostgreSQL keeps its data on disk, with fsync and
// synchronous_commit on, in a cluster of its own; the policy of the example's members holds for each row.

import assert from 'node:assert/strict';
import os from 'node:os';
import { Hasten, SECRET, exampleConfig } from '../e2e/harness/hasten.mjs';
import { now, sign } from '../e2e/harness/jwt.mjs';
import { Pg } from '../e2e/harness/pg.mjs';
import { alternate, cpuPerAnswer, pgbenchScript, requestFile, runLoad, startFastify } from './lib.mjs';

const DB = 'clients_plus';
const COMPANY = 7;
const token = () => sign({ role: 'member', company_id: COMPANY, sub: 'bench', exp: now(86_400) }, SECRET);
const rowOf = (i) => ({ companyId: COMPANY, firstName: 'Ana', lastName: `Müller ${i}`, phone: '+49 30 1234567' });

let made;
const world = (bench) => (made ??= makeWorld(bench));

async function makeWorld(bench) {
    const pg = await bench.keep(await Pg.start({
        clientsPlus: 0.1, fsync: true, root: os.tmpdir(), settings: { shared_buffers: '256MB', synchronous_commit: 'on', max_wal_size: '4GB' },
    }), (it) => it.close());
    const server = await bench.keep(await Hasten.start(exampleConfig(pg, {
        'log.access': false, 'log.level': 'warn', 'cache.enabled': false, 'server.body.max': '16MiB', 'server.request.memory_max': '64MiB',
    })), (it) => it.stop());
    return { pg, server };
}

export async function insert(bench) {
    const { pg, server } = await world(bench);
    const peer = await bench.keep(await startFastify(pg.url({ db: DB })), (it) => it.stop());
    const file = requestFile(Array.from({ length: 1000 }, (_, i) => ['/api/v1/clients', token(), JSON.stringify(rowOf(i))]));
    const made = await server.get('/api/v1/clients', {
        method: 'POST', token: token(), headers: { 'content-type': 'application/json' }, body: JSON.stringify(rowOf(0)) });
    assert.equal(made.status, 201, made.text);
    const script = `\\set n random(1, 1000000000)
INSERT INTO api.clients (company_id, first_name, last_name, phone) VALUES (${COMPANY}, 'Ana', 'Müller' || :n, '+49 30 1234567') RETURNING *;
`;
    const rate = async (port) => (await runLoad(port, file, { seconds: bench.seconds })).rate;
    const got = await alternate(bench.rounds, {
        hasten: async () => {
            const run = await cpuPerAnswer(() => [server.pid], server.port, file, { seconds: bench.seconds });
            return { rate: run.rate, cpu: run.cpu_us };
        },
        pgbench: () => pgbenchScript(pg, DB, script, { seconds: bench.seconds, clients: 16 }),
        fastify: () => rate(peer.port),
    });
    bench.record({ name: 'insert, CPU', value: got.hasten.cpu, unit: 'µs/req', goal: '≤ 15', of: 'value' });
    bench.record({ name: 'insert', value: got.hasten.rate, unit: 'req/s', peer: 'pgbench, 16 clients, the same INSERT', peerValue: got.pgbench, goal: '≥ 0.9' });
    bench.record({ name: 'insert', value: got.hasten.rate, unit: 'req/s', peer: 'Fastify + pg', peerValue: got.fastify, goal: '≥ 4' });
}

export async function bulk(bench) {
    const { pg, server } = await world(bench);
    const count = 10_000;
    const text = (round) => JSON.stringify(Array.from({ length: count }, (_, i) => ({
        ...rowOf(i), email: `bulk-${round}-${i}@example.org`, status: 'ACTIVE', isActive: true, notes: 'from the bench' })));
    let round = 0;
    const perSecond = async (work) => {
        const body = text(++round);
        const began = performance.now();
        await work(body);
        return count / (performance.now() - began) * 1000;
    };
    const got = await alternate(bench.rounds + 2, {
        hasten: () => perSecond(async (body) => {
            const answer = await server.get('/api/v1/clients?return=minimal', {
                method: 'POST', token: token(), headers: { 'content-type': 'application/json' }, body });
            assert.deepEqual(answer.body, { affected: count }, answer.text.slice(0, 500));
        }),
        recordset: () => perSecond((body) => pg.sql(
            `INSERT INTO api.clients (company_id, first_name, last_name, phone, email, status, is_active, notes)
             SELECT "companyId", "firstName", "lastName", phone, email, status, "isActive", notes FROM json_to_recordset($1) AS r(
             "companyId" bigint, "firstName" text, "lastName" text, phone text, email text, status text, "isActive" boolean, notes text)`,
            { db: DB, values: [body] })),
    });
    bench.record({ name: 'bulk insert, 10,000 rows', value: got.hasten, unit: 'rows/s', peer: 'INSERT … SELECT FROM json_to_recordset($1)', peerValue: got.recordset, goal: '≥ 0.8' });
}
