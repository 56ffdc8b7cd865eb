// SPDX-License-Identifier: Apache-2.0
// What PostgreSQL does that the coherent cache is built upon. Each test is one fact, on a real server, so that
// a version that behaves differently is noticed here and not in an answer.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Pg } from './harness/pg.mjs';
import { changes } from './harness/pgoutput.mjs';
import { waitUntil } from './harness/util.mjs';

let pg;
let count = 0;

before(async () => {
    // The WAL writer flushes asynchronous commits so late that a test sees the time before.
    pg = await Pg.start({ settings: { wal_writer_delay: '10s', wal_writer_flush_after: 0, autovacuum: 'off', bgwriter_delay: '10s' } });
    await pg.sql('CREATE EXTENSION pg_walinspect');
});
after(() => pg.close());

const sql = (text, values) => pg.sql(text, { values });
const oid = (name) => pg.value('SELECT $1::regclass::oid::int', { values: [name] });

/** A publication of `tables` (SQL) and a slot of the same name, gone after the test. */
async function follow(t, tables, options = {}) {
    const name = `fact_${count += 1}`;
    const words = Object.entries(options).map(([key, value]) => `${key} = '${value}'`);
    await sql(`CREATE PUBLICATION ${name} ${tables && `FOR TABLE ${tables}`} ${words.length ? `WITH (${words})` : ''}`);
    await sql('SELECT pg_create_logical_replication_slot($1, \'pgoutput\')', [name]);
    t.after(async () => {
        await sql('SELECT pg_drop_replication_slot($1)', [name]);
        await sql(`DROP PUBLICATION ${name}`);
    });
    return (more) => changes(pg, { slot: name, publication: name, ...more });
}

const lsn = (number) => `${(number >> 32n).toString(16)}/${(number & 0xffffffffn).toString(16)}`.toUpperCase();
const types = (messages) => messages.map((message) => message.type).join('');

test('a published table without a replica identity refuses UPDATE and DELETE, and takes INSERT', async (t) => {
    await sql('CREATE TABLE bare (i int); INSERT INTO bare VALUES (1)');
    await sql('UPDATE bare SET i = 2');
    await follow(t, 'bare');
    await assert.rejects(sql('UPDATE bare SET i = 3'), { code: '55000', message: /does not have a replica identity/ });
    await assert.rejects(sql('DELETE FROM bare'), { code: '55000' });
    await sql('INSERT INTO bare VALUES (4)');
});

test('a deferrable primary key is no replica identity', async (t) => {
    await sql('CREATE TABLE late (i int PRIMARY KEY DEFERRABLE); INSERT INTO late VALUES (1)');
    await follow(t, 'late');
    await assert.rejects(sql('UPDATE late SET i = 3'), { code: '55000' });
});

test('dropping the primary key leaves the table in the publication, and its writes broken', async (t) => {
    await sql('CREATE TABLE keyed (i int PRIMARY KEY); INSERT INTO keyed VALUES (1)');
    await follow(t, 'keyed');
    await sql('UPDATE keyed SET i = 2');
    await sql('ALTER TABLE keyed DROP CONSTRAINT keyed_pkey');
    assert.equal(await pg.value("SELECT count(*)::int FROM pg_publication_rel WHERE prrelid = 'keyed'::regclass"), 1);
    await assert.rejects(sql('UPDATE keyed SET i = 3'), { code: '55000' });
});

test('a published table cannot become unlogged', async (t) => {
    await sql('CREATE TABLE stays (i int PRIMARY KEY)');
    await follow(t, 'stays');
    await assert.rejects(sql('ALTER TABLE stays SET UNLOGGED'), { code: '55000' });
});

test('a publication made after the slot is missing for ever where older changes are read', async (t) => {
    await sql('CREATE TABLE early (i int PRIMARY KEY)');
    await sql("SELECT pg_create_logical_replication_slot('early', 'pgoutput')");
    t.after(() => sql("SELECT pg_drop_replication_slot('early')"));
    await sql('INSERT INTO early VALUES (1)');
    await sql('CREATE PUBLICATION too_late FOR TABLE early');
    for (let i = 0; i < 2; i++) {
        await assert.rejects(changes(pg, { slot: 'early', publication: 'too_late' }), /publication "too_late" does not exist/);
        await sql('INSERT INTO early VALUES ($1)', [2 + i]);
    }
});

test('logical messages come only where the option messages asks for them', async (t) => {
    const read = await follow(t, '');
    await sql("SELECT pg_logical_emit_message(true, 'hasten', 'ddl')");
    assert.doesNotMatch(types(await read({ peek: true, options: {} })), /M/);
    const [message] = (await read()).filter(({ type }) => type === 'M');
    assert.deepEqual([message.prefix, message.content, message.isTransactional], ['hasten', 'ddl', true]);
});

test('generated columns, and those outside a column list, are not in the stream', async (t) => {
    await sql('CREATE TABLE made (id int PRIMARY KEY, a int, b int GENERATED ALWAYS AS (a * 2) STORED, c int)');
    const read = await follow(t, 'made (id, a)');
    const whole = await follow(t, 'made');
    await sql('INSERT INTO made VALUES (1, 2, DEFAULT, 3)');
    const columns = async (messages) => (await messages).find(({ type }) => type === 'R').columns.map(({ name }) => name);
    assert.deepEqual(await columns(read()), ['id', 'a']);
    assert.deepEqual(await columns(whole()), ['id', 'a', 'c']);
});

test('an UPDATE tells the old row only as far as the identity goes, and nothing if that did not change', async (t) => {
    await sql(`CREATE TABLE told (id int PRIMARY KEY, tenant int NOT NULL, word text, UNIQUE (tenant, id));
               INSERT INTO told VALUES (1, 7, 'a')`);
    const read = await follow(t, 'told');
    const update = async (set) => {
        await sql(`UPDATE told SET ${set}`);
        const { key, old, new: row } = (await read()).find(({ type }) => type === 'U');
        return { key, old, row };
    };
    assert.deepEqual(await update("word = 'b'"), { key: undefined, old: undefined, row: ['1', '7', 'b'] });
    assert.deepEqual(await update('tenant = 8'), { key: undefined, old: undefined, row: ['1', '8', 'b'] });
    assert.deepEqual(await update('id = 2'), { key: ['1', null, null], old: undefined, row: ['2', '8', 'b'] });
    await sql('ALTER TABLE told REPLICA IDENTITY USING INDEX told_tenant_id_key');
    assert.deepEqual(await update("word = 'c'"), { key: undefined, old: undefined, row: ['2', '8', 'c'] });
    assert.deepEqual(await update('tenant = 9'), { key: ['2', '8', null], old: undefined, row: ['2', '9', 'c'] });
    await sql('ALTER TABLE told REPLICA IDENTITY FULL');
    assert.deepEqual(await update("word = 'd'"), { key: undefined, old: ['2', '9', 'c'], row: ['2', '9', 'd'] });
    await sql('ALTER TABLE told REPLICA IDENTITY USING INDEX told_tenant_id_key; DELETE FROM told');
    assert.deepEqual((await read()).find(({ type }) => type === 'D').key, ['2', '9', null]);
});

test('a TOAST value that did not change is not told, unless the identity is FULL: then the old row has it', async (t) => {
    await sql(`CREATE TABLE fat (id int PRIMARY KEY, n int, body text);
               ALTER TABLE fat ALTER body SET STORAGE EXTERNAL;
               INSERT INTO fat VALUES (1, 1, repeat('x', 9000))`);
    const read = await follow(t, 'fat');
    const update = async () => {
        await sql('UPDATE fat SET n = n + 1');
        return (await read()).find(({ type }) => type === 'U');
    };
    assert.deepEqual((await update()).new, ['1', '2', undefined]);
    await sql('ALTER TABLE fat REPLICA IDENTITY FULL');
    const { old, new: row } = await update();
    assert.deepEqual(row, ['1', '3', undefined]);
    assert.equal(old[2].length, 9000);
});

test('with publish_via_partition_root the TRUNCATE of a leaf is lost; published leaves tell it', async (t) => {
    await sql(`CREATE TABLE root (id int PRIMARY KEY) PARTITION BY RANGE (id);
               CREATE TABLE leaf PARTITION OF root FOR VALUES FROM (0) TO (9)`);
    const viaRoot = await follow(t, 'root', { publish_via_partition_root: true });
    const leaves = await follow(t, 'leaf');
    await sql('INSERT INTO root VALUES (1)');
    await sql('TRUNCATE leaf');
    const [seen, told] = [await viaRoot(), await leaves()];
    assert.equal(seen.find(({ type }) => type === 'I').oid, await oid('root'));
    assert.equal(seen.find(({ type }) => type === 'T'), undefined);
    assert.equal(told.find(({ type }) => type === 'I').oid, await oid('leaf'));
    assert.deepEqual(told.find(({ type }) => type === 'T').oids, [await oid('leaf')]);
    await sql('TRUNCATE root');
    assert.deepEqual((await leaves()).find(({ type }) => type === 'T').oids, [await oid('leaf')]);
});

test('a replica identity of a partitioned table reaches no leaf, not even a later one', async () => {
    await sql(`CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);
               CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (9);
               ALTER TABLE parted REPLICA IDENTITY FULL;
               CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (10) TO (19)`);
    const rows = await sql("SELECT relreplident AS i FROM pg_class WHERE relname LIKE 'parted%' AND relkind IN ('r', 'p') ORDER BY relname");
    assert.deepEqual(rows.map(({ i }) => i), ['f', 'd', 'd']);
});

test('an inheritance child is not published because its parent is, if it is made later', async (t) => {
    await sql('CREATE TABLE parent (id int PRIMARY KEY)');
    const read = await follow(t, 'parent');
    await sql('CREATE TABLE child (PRIMARY KEY (id)) INHERITS (parent); INSERT INTO child VALUES (1)');
    assert.equal((await read()).find(({ type }) => type === 'I'), undefined);
});

test('final_lsn of BEGIN is where the commit record starts, and the record before it may end just there', async (t) => {
    await sql('CREATE TABLE placed (i int PRIMARY KEY)');
    const read = await follow(t, 'placed');
    const from = await pg.value('SELECT pg_current_wal_insert_lsn()::text');
    await sql('INSERT INTO placed VALUES (1)');
    const messages = await read();
    const begin = messages.find(({ type }) => type === 'B');
    const commit = messages.find(({ type }) => type === 'C');
    assert.equal(begin.finalLsn, commit.commitLsn);
    assert.ok(begin.finalLsn < commit.endLsn);
    const records = await sql(`SELECT start_lsn::text AS start, end_lsn::text AS end, record_type AS type
                               FROM pg_get_wal_records_info($1, $2) ORDER BY start_lsn`, [from, lsn(commit.endLsn)]);
    const at = records.findIndex(({ start }) => start === lsn(begin.finalLsn));
    assert.match(records[at].type, /COMMIT/);
    assert.equal(records[at].end, lsn(commit.endLsn));
    // So whoever has decoded up to there, and says so in a keepalive, has not seen this commit.
    assert.equal(records[at - 1].end, lsn(begin.finalLsn));
});

test('with synchronous_commit = off a commit is visible before it is flushed, and before the stream has it', async (t) => {
    await sql('CREATE TABLE soon (i int PRIMARY KEY)');
    const read = await follow(t, 'soon');
    const writer = await pg.client();
    t.after(() => writer.end());
    await writer.query('SET synchronous_commit = off');
    await writer.query('INSERT INTO soon VALUES (1)');
    // PostgreSQL writes whole pages early: the end of the record is what is not flushed yet.
    const { rows: [at] } = await writer.query('SELECT pg_current_wal_insert_lsn() > pg_current_wal_flush_lsn() AS ahead');
    assert.equal(await pg.value('SELECT count(*)::int FROM soon'), 1);
    assert.equal(at.ahead, true);
    assert.equal((await read({ peek: true })).find(({ type }) => type === 'I'), undefined);
    await sql("SELECT pg_logical_emit_message(true, 'hasten', '')");
    assert.ok((await read()).find(({ type }) => type === 'I'), 'a commit that waits flushes what is before it');
});

test('the start time changes with a clean restart, stats_reset of pg_stat_wal with a crash restart only', async () => {
    const life = async () => Object.values((await sql(`SELECT extract(epoch FROM pg_postmaster_start_time())::text,
        extract(epoch FROM stats_reset)::text AS reset FROM pg_stat_wal`))[0]);
    const first = await life();
    assert.deepEqual(await life(), first);
    await pg.restart('fast');
    const second = await life();
    assert.notEqual(second[0], first[0]);
    assert.equal(second[1], first[1]);
    const victim = await pg.client();
    process.kill(await victim.query('SELECT pg_backend_pid() AS pid').then(({ rows }) => rows[0].pid), 'SIGKILL');
    const third = await waitUntil(() => life().then((now) => now[1] !== second[1] && now, () => false), { what: 'the crash restart' });
    await victim.end().catch(() => {});
    assert.equal(third[0], second[0]);
});

test('creating a slot waits for every open writer', async () => {
    const [writer, maker] = [await pg.client(), await pg.client()];
    await writer.query('BEGIN; SELECT pg_current_xact_id()');
    let isMade = false;
    const made = maker.query("SELECT pg_create_logical_replication_slot('patient', 'pgoutput', true)").then(() => { isMade = true; });
    await waitUntil(async () => await pg.value("SELECT 1 FROM pg_stat_activity WHERE query LIKE '%patient%' AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()"),
        { what: 'the maker to wait' });
    assert.equal(isMade, false);
    await writer.query('COMMIT');
    await made;
    await Promise.all([writer.end(), maker.end()]);
});
