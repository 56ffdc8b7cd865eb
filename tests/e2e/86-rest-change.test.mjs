// SPDX-License-Identifier: Apache-2.0
// Writes of the PostgREST dialect that are committed: what is told is in the database, what is refused is not,
// and a read that was kept knows of it. What they answer beside PostgREST: 80 (write).

import assert from 'node:assert/strict';
import { after, before, beforeEach, test } from 'node:test';
import { Hasten } from './harness/hasten.mjs';
import { BASE, SELF, restConfig, startDropIn, startMuseum, startRest } from './harness/rest.mjs';
import { ask } from './rest/differential.mjs';

const options = { skip: SELF && 'of hasten alone' };
const ADDED = `
    CREATE TABLE museum.guests (id integer PRIMARY KEY, name text, age integer DEFAULT 1);
    CREATE TABLE museum.badges (id integer PRIMARY KEY, guest_id integer REFERENCES museum.guests, colour text);
    CREATE TABLE museum.watched (id integer PRIMARY KEY, name text, who text);
    CREATE TABLE museum.watched_log (line text);
    CREATE FUNCTION vault.watch() RETURNS trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO museum.watched_log VALUES (TG_OP);
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        IF NEW.name = 'nobody' THEN RETURN NULL; END IF;
        NEW.who := current_setting('request.method', true) || ' ' || (current_setting('request.headers', true)::json ->> 'x-who');
        IF NEW.name = 'teapot' THEN
            PERFORM set_config('response.status', '418', true);
            PERFORM set_config('response.headers', '[{"X-Pot": "tea"}, {"Cache-Control": "no-store"}]', true);
        ELSIF NEW.name = 'broken' THEN
            PERFORM set_config('response.headers', '{"X": 1}', true);
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER watch BEFORE INSERT OR UPDATE OR DELETE ON museum.watched FOR EACH ROW EXECUTE FUNCTION vault.watch();
    CREATE TABLE museum.elders (id integer PRIMARY KEY, age integer);
    CREATE TABLE museum.heirs () INHERITS (museum.elders);
    INSERT INTO museum.elders VALUES (1, 90);
    INSERT INTO museum.heirs VALUES (1, 20);
    GRANT SELECT, INSERT, UPDATE, DELETE ON museum.elders, museum.guests, museum.badges, museum.watched TO author;
    GRANT SELECT ON museum.watched_log TO author;`;

let pg, rest;
before(async () => {
    if (SELF) return;
    pg = await startMuseum();
    await pg.sql(ADDED);
    rest = await startRest(pg);
});
after(async () => {
    await rest?.stop();
    await pg?.close();
});
beforeEach(async () => {
    if (SELF) return;
    await pg.sql(`TRUNCATE museum.guests, museum.badges, museum.watched, museum.watched_log;
        INSERT INTO museum.guests VALUES (1, 'ann', 30), (2, 'ben', 40), (3, 'cem', 50);
        INSERT INTO museum.badges VALUES (1, 1, 'red'), (2, 2, 'blue')`);
});

const REP = 'return=representation';
const OBJECT = 'application/vnd.pgrst.object+json';
const send = (request, more = {}) => ask(rest.url, ['', request, undefined, { noTx: true, ...more }]);
const guests = () => pg.sql('SELECT id, name, age FROM museum.guests ORDER BY id');
const watched = () => pg.sql('SELECT id, name FROM museum.watched ORDER BY id');
const logged = async () => (await pg.sql('SELECT line FROM museum.watched_log')).length;

async function answers(request, status, more) {
    const answer = await send(request, more);
    assert.equal(answer.status, status, `${request}: ${answer.text}`);
    return answer.text && /json/.test(answer.headers.get('content-type') ?? '') ? JSON.parse(answer.text) : answer.text;
}

async function refuses(request, status, code, more) {
    const error = await answers(request, status, more);
    assert.equal(error.code, code, JSON.stringify(error));
    return error;
}

test('what is told as done is done: insert, update, upsert, PUT, delete', options, async () => {
    await answers('POST /guests', 201, { body: { id: 4, name: 'dee' } });
    assert.deepEqual(await answers('PATCH /guests?id=eq.4&select=name,age', 200, { body: { age: 9 }, prefer: REP }), [{ name: 'dee', age: 9 }]);
    await answers('POST /guests', 201, { body: [{ id: 4, name: 'dee2' }, { id: 5, name: 'eve' }], prefer: 'resolution=merge-duplicates' });
    await answers('PUT /guests?id=eq.6', 204, { body: { id: 6, name: 'fay', age: 2 } });
    await answers('DELETE /guests?id=lt.4', 409);
    await answers('DELETE /guests?id=eq.3', 204);
    assert.deepEqual((await guests()).slice(2), [{ id: 4, name: 'dee2', age: 9 }, { id: 5, name: 'eve', age: 1 }, { id: 6, name: 'fay', age: 2 }]);
});

test('CSV and forms are written', options, async () => {
    await answers('POST /guests', 201, { type: 'text/csv', body: 'id,name,age\n7,"a ""b"", c",5\n8,NULL,6\n9,,7\n' });
    await answers('POST /guests', 201, { type: 'application/x-www-form-urlencoded', body: 'id=10&name=x+y%26z' });
    assert.deepEqual((await guests()).slice(3), [
        { id: 7, name: 'a "b", c', age: 5 }, { id: 8, name: null, age: 6 }, { id: 9, name: '', age: 7 }, { id: 10, name: 'x y&z', age: 1 }]);
});

test('a read that was kept is new after a write', options, async () => {
    for (let i = 0; i < 5; i++) {
        await answers('GET /guests?select=id,name,badges(colour)&order=id', 200);
        await answers('PATCH /badges?id=eq.1', 204, { body: { colour: `c${i}` } });
        const rows = await answers('GET /guests?select=id,name,badges(colour)&order=id', 200);
        assert.deepEqual(rows[0].badges, [{ colour: `c${i}` }]);
    }
});

test('not one object: nothing is written', options, async () => {
    await refuses('POST /guests', 406, 'PGRST116', { body: [{ id: 4, name: 'd' }, { id: 5, name: 'e' }], prefer: REP, accept: OBJECT });
    await refuses('POST /guests', 406, 'PGRST116', { body: [{ id: 4, name: 'd' }, { id: 5, name: 'e' }], accept: OBJECT });
    await refuses('PATCH /guests?id=lt.3', 406, 'PGRST116', { body: { age: 0 }, prefer: REP, accept: OBJECT });
    await refuses('PATCH /guests?id=eq.77', 406, 'PGRST116', { body: { age: 0 }, prefer: REP, accept: OBJECT });
    await refuses('DELETE /guests?id=gt.2&select=id,badges!inner(id)', 406, 'PGRST116', { prefer: REP, accept: OBJECT });
    assert.equal((await guests()).filter(({ age }) => age >= 30).length, 3);
    assert.equal((await guests()).length, 3);
    const one = await answers('PATCH /guests?id=eq.2&select=age,badges(colour)', 200, { body: { age: 41 }, prefer: REP, accept: OBJECT });
    assert.deepEqual(one, { age: 41, badges: [{ colour: 'blue' }] });
    assert.deepEqual(await answers('POST /guests', 201, { body: [{ id: 4, name: 'd' }], prefer: REP, accept: OBJECT }), { id: 4, name: 'd', age: 1 });
});

test('a key that a table and its heir both have: not one object, and nothing is written', options, async () => {
    await refuses('PATCH /elders?id=eq.1', 406, 'PGRST116', { body: { age: 0 }, prefer: REP, accept: OBJECT });
    assert.deepEqual(await pg.sql('SELECT age FROM museum.elders ORDER BY age'), [{ age: 20 }, { age: 90 }]);
});

test('max-affected: nothing is written', options, async () => {
    const strictly = (n) => ({ prefer: `handling=strict, max-affected=${n}` });
    await refuses('PATCH /guests?id=gt.0', 400, 'PGRST124', { body: { age: 0 }, ...strictly(2) });
    await refuses('DELETE /guests?id=eq.3', 400, 'PGRST124', strictly(0));
    assert.deepEqual((await guests()).map(({ age }) => age), [30, 40, 50]);
    await answers('PATCH /guests?id=gt.0', 204, { body: { age: 1 }, ...strictly(3) });
    await answers('DELETE /guests?id=eq.3', 204, strictly(1));
    assert.deepEqual((await guests()).map(({ age }) => age), [1, 1]);
});

test('PUT: the key of the body is the key of the path', options, async () => {
    await refuses('PUT /guests?id=eq.1', 400, 'PGRST115', { body: { id: 2, name: 'x' } });
    await refuses('PUT /guests?id=eq.1', 400, 'PGRST115', { body: { name: 'x' } });
    await refuses('PUT /guests?id=eq.1', 400, 'PGRST115', { body: {} });
    await refuses('PUT /watched?id=eq.1', 400, 'PGRST115', { body: { id: 1, name: 'nobody' } });
    assert.equal(await logged(), 0, 'what the trigger did is undone');
    assert.deepEqual(await answers('PUT /guests?id=eq.01', 200, { body: { id: '1', name: 'x' }, prefer: REP }), [{ id: 1, name: 'x', age: 30 }]);
});

test('triggers see the request, and say what the answer is', options, async () => {
    const headers = { 'x-who': 'me' };
    assert.deepEqual(await answers('POST /watched', 201, { body: { id: 1, name: 'a' }, headers, prefer: REP }), [{ id: 1, name: 'a', who: 'POST me' }]);
    assert.deepEqual(await answers('PATCH /watched?id=eq.1', 200, { body: { name: 'b' }, headers, prefer: REP, accept: OBJECT }), { id: 1, name: 'b', who: 'PATCH me' });
    for (const prefer of ['return=minimal', REP, 'return=headers-only']) {
        await pg.sql('DELETE FROM museum.watched WHERE id = 2');
        const pot = await send('POST /watched', { body: { id: 2, name: 'teapot' }, prefer });
        assert.equal(pot.status, 418, prefer);
        assert.equal(pot.headers.get('x-pot'), 'tea');
        assert.equal(pot.headers.get('cache-control'), 'no-store');
    }
    await refuses('POST /watched', 500, 'PGRST111', { body: { id: 3, name: 'broken' } });
});

test('a trigger that keeps the only row away: not one object, and what else it did is undone', options, async () => {
    await refuses('POST /watched', 406, 'PGRST116', { body: { id: 1, name: 'nobody' }, prefer: REP, accept: OBJECT });
    assert.equal(await logged(), 0);
    assert.deepEqual(await answers('POST /watched', 201, { body: { id: 1, name: 'nobody' }, prefer: REP }), []);
    assert.equal(await logged(), 1);
});

test('tx=rollback: the answer as if, and nothing is written', options, async () => {
    const prefer = [REP, 'tx=rollback'];
    assert.deepEqual(await answers('POST /guests?select=id', 201, { body: { id: 4 }, prefer }), [{ id: 4 }]);
    assert.deepEqual(await answers('DELETE /watched', 200, { prefer }), []);
    assert.deepEqual(await answers('PATCH /guests?id=eq.1&select=age', 200, { body: { age: 0 }, prefer, accept: OBJECT }), { age: 0 });
    assert.deepEqual((await guests()).map(({ age }) => age), [30, 40, 50]);
    const applied = (await send('POST /guests', { body: { id: 4 }, prefer })).headers.get('preference-applied');
    assert.equal(applied, 'return=representation, tx=rollback');
});

test('rest.tx_end: how transactions end, and who may say otherwise', options, async () => {
    const left = { rollback: [false, false], 'rollback-allow-override': [false, true], commit: [true, true] };
    for (const [end, [byItself, asked]] of Object.entries(left)) {
        const server = await startDropIn(pg, { 'db-tx-end': end });
        const post = async (id, prefer) => ask(server.url, ['', 'POST /guests', undefined, { noTx: true, body: { id }, prefer }]);
        assert.equal((await post(50, [])).status, 201);
        assert.equal((await post(51, ['tx=commit'])).status, 201);
        await server.stop();
        const ids = (await guests()).map(({ id }) => id);
        assert.equal(ids.includes(50), byItself, end);
        assert.equal(ids.includes(51), asked, `${end}, tx=commit`);
        await pg.sql('DELETE FROM museum.guests WHERE id >= 50');
    }
});

test('what the operator\'s check narrows holds for every write, looked at or not', options, async () => {
    await pg.sql(`CREATE OR REPLACE FUNCTION museum.narrow() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
        PERFORM set_config('role', 'keeper', true), set_config('request.jwt.claims', '{"narrowed": true}', true); END $$`);
    const server = await startDropIn(pg, { 'db-pre-request': 'museum.narrow' });
    const patch = (more) => ask(server.url, ['', 'PATCH /guests?id=lt.3', undefined, { noTx: true, body: { age: 0 }, ...more }]);
    for (const more of [{}, { prefer: 'handling=strict, max-affected=5' }, { prefer: REP, accept: OBJECT }]) {
        const answer = await patch(more);
        assert.equal(answer.status, 403, answer.text);
    }
    await server.stop();
    assert.deepEqual((await guests()).map(({ age }) => age), [30, 40, 50]);
});

test('Location leads to the row', options, async () => {
    await pg.sql(`DELETE FROM museum."Odd Names" WHERE "the id" = 77`);
    const prefer = 'return=headers-only';
    for (const [request, body] of [['POST /guests', { id: 4 }], ['POST /prefs', { owner: 'a&b =', key: 'k/ü,1' }], ['POST /Odd Names', [{ 'the id': 77 }]]]) {
        const location = (await send(request, { body, prefer })).headers.get('location');
        const row = await ask(new URL(rest.url).origin, ['', `GET ${location}`, 200, {}]);
        assert.equal(JSON.parse(row.text).length, 1, location);
    }
    await answers('DELETE /prefs?owner=eq.a%26b%20%3D', 204);
    assert.equal((await send('POST /guests', { body: [{ id: 5 }, { id: 6 }], prefer })).headers.get('location'), null);
    const long = await send('POST /prefs', { body: { owner: 'ü'.repeat(12_000), key: 'k' }, prefer });
    assert.deepEqual([long.status, long.headers.get('location')], [201, null], 'it was written, so it is no failure');
    await answers('DELETE /prefs?key=eq.k', 204);
});

test('a plan of a write writes nothing', options, async () => {
    const accept = 'application/vnd.pgrst.plan+text; options=analyze';
    assert.match((await send('DELETE /badges', { accept })).text, /Delete on .*badges.* rows=/s);
    assert.equal((await pg.sql('SELECT id FROM museum.badges')).length, 2);
});

test('limits of a body', options, async () => {
    const rows = (n) => JSON.stringify(Array.from({ length: n }, (_, i) => ({ id: i + 100 })));
    const many = await refuses('POST /guests', 400, 'PGRST102', { type: 'application/json', body: rows(10_001) });
    assert.match(many.message, /more than 10000 rows/);
    assert.match(many.hint, /api\.body\.rows_max/);
    const wide = `{${Array.from({ length: 10_000 }, (_, i) => `"c${i}":1`).join(',')}}`;
    assert.match((await refuses('POST /guests', 400, 'PGRST102', { type: 'application/json', body: wide })).message, /more than 1664 columns/);
    await refuses('POST /guests', 400, 'PGRST102', { type: 'text/csv', body: `${'c,'.repeat(10_000)}c\n` });
    await refuses('POST /guests', 400, 'PGRST102', { type: 'application/json', body: `{"id":4,"name":${'['.repeat(100)}${']'.repeat(100)}}` });
    await refuses('POST /guests', 400, 'PGRST102', { type: 'text/csv', body: `${'n'.repeat(9000)},${'m'.repeat(9000)}\n${',\n'.repeat(9000)}` });
    await answers('POST /guests', 201, { type: 'application/json', body: rows(10_000) });
    assert.equal((await guests()).length, 10_003);
});

test('rows that are too long for an answer: the write is done, and told without them', options, async () => {
    await pg.sql(`INSERT INTO museum.guests SELECT n, repeat('x', 2000) FROM generate_series(1000, 1099) n`);
    const small = await Hasten.start({ ...restConfig(pg), 'server.answer.max': '64KiB' });
    const row = ['', 'PATCH /guests?id=gte.1000', 204, { noTx: true, body: { age: 77 }, prefer: [REP, 'count=exact'] }];
    const answer = await ask(small.url + BASE, row);
    await small.stop();
    assert.equal(answer.status, 204, answer.text);
    assert.equal(answer.headers.get('preference-applied'), 'return=minimal, count=exact');
    assert.equal(answer.headers.get('content-range'), '0-99/100');
    assert.equal((await guests()).filter(({ age }) => age === 77).length, 100);
});

test('texts of clients stay values', options, async () => {
    const odd = `'"); DROP TABLE museum.guests; --\\`;
    await answers('POST /guests', 201, { body: { id: 4, name: odd } });
    await answers('POST /guests', 201, { type: 'text/csv', body: `id,name\n5,"${odd.replaceAll('"', '""')}"\n` });
    await refuses('POST /guests', 400, 'PGRST204', { body: { [odd]: 1 } });
    await refuses('POST /guests', 400, 'PGRST204', { type: 'text/csv', body: `"${odd.replaceAll('"', '""')}"\n1\n` });
    assert.deepEqual((await guests()).slice(3).map(({ name }) => name), [odd, odd]);
    await answers('POST /guests', 400, { type: 'application/json', body: '{"id":6,"name":"a\\u0000b"}' });
});
