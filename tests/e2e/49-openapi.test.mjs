// SPDX-License-Identifier: Apache-2.0
// The descriptions for programs (A3, A8): valid against OpenAPI's own schemas, and of what the caller may read.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Validator } from '@seriousme/openapi-schema-validator';
import { Hasten, SECRET, exampleConfig } from './harness/hasten.mjs';
import { now, sign } from './harness/jwt.mjs';
import { Pg } from './harness/pg.mjs';
import { tempDir } from './harness/util.mjs';

let pg, server, folder;
const member = sign({ role: 'member', company_id: 1, exp: now(3600) }, SECRET);

before(async () => {
    pg = await Pg.start({ clientsPlus: 0.1 });
    await pg.sql(`CREATE TYPE api.mood AS ENUM ('good', 'bad "day"');
        CREATE DOMAIN api.share AS integer CHECK (value BETWEEN 0 AND 100);
        CREATE TABLE api."odd /{name}" (id integer PRIMARY KEY, mood api.mood NOT NULL DEFAULT 'good', share api.share,
            many integer[], doc jsonb, short varchar(7) DEFAULT 'it''s', at timestamptz DEFAULT now());
        COMMENT ON TABLE api."odd /{name}" IS E'First "line"\nand more';
        COMMENT ON COLUMN api."odd /{name}".mood IS 'how it was';
        CREATE TABLE api.secrets (id integer PRIMARY KEY);
        CREATE FUNCTION api.add(a integer, b integer DEFAULT 1) RETURNS integer IMMUTABLE RETURN a + b;
        GRANT SELECT ON api."odd /{name}" TO viewer, member; GRANT SELECT ON api.secrets TO member`, { db: 'clients_plus' });
    folder = tempDir('openapi');
    fs.writeFileSync(path.join(folder, 'busy.sql'), '-- description: Who is busy.\n-- param least integer = 1\n-- param mood api.mood ?\n' +
        "SELECT id, 'x' AS why FROM api.staff WHERE id >= :least AND (:mood IS NULL OR :mood = 'good')\n");
    server = await Hasten.start(exampleConfig(pg, { 'api.queries': folder, 'rest.openapi_security': true }));
});
after(async () => {
    await server?.stop();
    await pg?.close();
    if (folder) fs.rmSync(folder, { recursive: true, force: true });
});

async function described(where, version, options) {
    const answer = await server.get(where, options);
    assert.equal(answer.status, 200, answer.text);
    const validator = new Validator();
    const { valid, errors } = await validator.validate(structuredClone(answer.body));
    assert.ok(valid, JSON.stringify(errors, null, 1));
    assert.equal(validator.version, version);
    return answer.body;
}

test('the simple dialect: tables, rows, named queries and batches, as OpenAPI 3.1', async () => {
    const { paths, components, servers } = await described('/api/v1/openapi.json', '3.1');
    assert.deepEqual(servers, [{ url: '/api/v1' }]);
    assert.deepEqual(Object.keys(paths['/clients/{id}']), ['parameters', 'get', 'put', 'patch', 'delete']);
    assert.ok(paths['/odd%20%2F%7Bname%7D'].get.parameters.some(({ name }) => name === 'mood'));
    assert.deepEqual(paths['/q/busy'].get.parameters.map(({ name, required }) => [name, required]), [['least', undefined], ['mood', undefined]]);
    assert.equal(paths['/q/busy'].get.summary, 'Who is busy.');
    assert.ok(paths['/batch'].post);
    assert.deepEqual(components.schemas['odd_20_2F_7Bname_7D'].properties.mood, { type: 'string', enum: ['good', 'bad "day"'] });
    assert.equal(components.schemas.secrets, undefined);
    assert.ok((await described('/api/v1/openapi.json', '3.1', { token: member })).components.schemas.secrets);
    assert.equal((await server.get('/api/v1/openapi.json', { method: 'HEAD' })).status, 200);
});

test('the PostgREST dialect: as OpenAPI 2.0, with PostgREST\'s notes about keys', async () => {
    const { paths, definitions, basePath, host, security } = await described('/rest/v1/', '2.0');
    assert.equal(basePath, '/rest/v1');
    assert.equal(host, new URL(server.url).host);
    assert.deepEqual(security, [{ JWT: [] }]);
    assert.deepEqual(Object.keys(paths['/clients']).sort(), ['delete', 'get', 'patch', 'post']);
    assert.deepEqual(paths['/rpc/add'].get.parameters.map(({ name, required }) => [name, required]), [['a', true], ['b', false]]);
    const { properties, required, description } = definitions['odd /{name}'];
    assert.deepEqual(required, ['id', 'mood']);
    assert.equal(description, 'First "line"\nand more');
    assert.equal(paths['/odd /{name}'].get.summary, 'First "line"');
    assert.equal(properties.id.description, 'Note:\nThis is a Primary Key.<pk/>');
    assert.deepEqual(properties.share, { format: 'integer', type: 'integer' });
    assert.deepEqual(properties.short, { format: 'character varying', type: 'string', maxLength: 7, default: "it''s" });
    assert.equal(properties.mood.default, 'good');
    assert.match(definitions.branches.properties.company_id.description, /<fk table='companies' column='id'\/>/);
    assert.equal(definitions.secrets, undefined);
    assert.ok((await described('/rest/v1/', '2.0', { token: member })).definitions.secrets);
});
