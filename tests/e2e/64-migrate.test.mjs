// SPDX-License-Identifier: Apache-2.0
// `hasten migrate` (C6) on a real server: what is applied, what is refused and
// why, and what a fault, a lock or a second node leave behind.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { hasten, hastenBin } from './harness/hasten.mjs';
import { Pg } from './harness/pg.mjs';
import { ROOT, dataRoot, tempDir, waitUntil } from './harness/util.mjs';

let pg;
let databases = 0;

before(async () => { pg = await Pg.start(); });
after(() => pg?.close());

/** An empty database and a folder with these files: {dir, put(), remove(), run(), ok(), fails(), sql(), value()}. */
async function world(files) {
    const db = `m${++databases}`;
    await pg.sql(`CREATE DATABASE ${db}`);
    const dir = path.join(tempDir('migrate'), 'migrations');
    fs.mkdirSync(dir);
    const put = (name, text) => fs.writeFileSync(path.join(dir, name), text);
    for (const [name, text] of Object.entries(files)) put(name, text);
    const run = (args, env = {}) => hasten(['migrate', ...args],
        { env: { HASTEN_MIGRATE_URL: pg.url({ db }), HASTEN_MIGRATE_DIR: dir, ...env }, timeout: 60_000 });
    return {
        db, dir, put, run,
        remove: (name) => fs.rmSync(path.join(dir, name)),
        sql: (text, values) => pg.sql(text, { db, values }),
        value: (text) => pg.value(text, { db }),
        client: () => pg.client({ db }),
        ok: async (args, env) => {
            const { code, stdout, stderr } = await run(args, env);
            assert.equal(stderr, '');
            assert.equal(code, 0);
            return stdout;
        },
        fails: async (args, env, expected = 1) => {
            const result = await run(args, env);
            assert.equal(result.code, expected, result.stdout + result.stderr);
            return result;
        },
    };
}

const TWO = {
    '0001_tables.sql': 'CREATE TABLE a (id int PRIMARY KEY, n int);\nINSERT INTO a SELECT i, i % 10 FROM generate_series(1, 1000) i;\n',
    '0002_more.sql': "CREATE FUNCTION f() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; SELECT 2; END;\nCOMMENT ON TABLE a IS ';'",
};
const INDEX = '-- hasten: no-transaction\nCREATE UNIQUE INDEX CONCURRENTLY "A n" ON a (n);\nCOMMENT ON INDEX "A n" IS \'made\';\n';
const invalid = 'SELECT count(*)::int FROM pg_index WHERE NOT indisvalid';

test('up applies in order, records, and finds nothing to do the second time', async () => {
    const w = await world(TWO);
    assert.match(await w.ok(['status']), /^0001 {2}tables {2}pending\s*\n0002 {2}more {4}pending\s*\n0 applied, 2 pending\n$/);
    assert.equal(await w.value("SELECT to_regnamespace('hasten')"), null, 'status changes nothing');
    assert.match((await w.fails(['verify'])).stderr, /0001_tables\.sql is not applied yet\n.*0002_more\.sql is not/);
    assert.match(await w.ok(['up']), /0001_tables\.sql {2}\d+\.\d s\n.*0002_more\.sql {2}\d+\.\d s\n2 applied\n/);
    assert.match(await w.ok(['up']), /^nothing to do: 2 applied\n$/);
    assert.equal(await w.value('SELECT count(*)::int FROM a'), 1000);
    const rows = await w.sql("SELECT version::int, name, length(checksum) AS n, state, statements_done AS done, applied_by, duration > '0' AS took FROM hasten.migration ORDER BY 1");
    assert.deepEqual(rows, [
        { version: 1, name: 'tables', n: 64, state: 'applied', done: 2, applied_by: 'postgres', took: true },
        { version: 2, name: 'more', n: 64, state: 'applied', done: 2, applied_by: 'postgres', took: true },
    ]);
    assert.match(await w.ok(['status']), /0001 {2}tables {2}applied .* by postgres\n.*\n2 applied, 0 pending\n/);
    assert.match(await w.ok(['verify']), /^ok: 2 migrations, all applied and unchanged\n$/);
    assert.equal(await w.value('SELECT count(*)::int FROM hasten.secret'), 1, "all of hasten's schema is there");
});

test('--to stops at a version, which must be there', async () => {
    const w = await world(TWO);
    assert.match((await w.fails(['up', '--to', '7'])).stderr, /there is no migration 7/);
    assert.match(await w.ok(['up', '--to', '1']), /\n1 applied\n/);
    assert.match(await w.ok(['up', '--to', '1']), /nothing to do/);
    assert.match(await w.ok(['status']), /1 applied, 1 pending/);
    assert.match(await w.ok(['up']), /0002_more\.sql/);
});

test('a changed file, a missing file, an older file: refused with the reason, nothing applied', async () => {
    const w = await world(TWO);
    await w.ok(['up']);
    w.put('0001_tables.sql', `${TWO['0001_tables.sql']}-- one more word\n`);
    w.put('0003_third.sql', 'CREATE TABLE third ()');
    const changed = await w.fails(['up']);
    assert.match(changed.stderr, /0001_tables\.sql was changed after it was applied: its checksum is [0-9a-f]{12}\.\.\., it was [0-9a-f]{12}/);
    assert.match(changed.stderr, /further migration/);
    assert.equal(await w.value("SELECT to_regclass('third')"), null);
    assert.match((await w.fails(['verify'])).stderr, /was changed(.|\n)*2 of 3 migrations differ/);
    assert.match(await w.ok(['status']), /0001 {2}tables {2}changed/);

    w.put('0001_tables.sql', TWO['0001_tables.sql']);
    w.remove('0002_more.sql');
    assert.match((await w.fails(['up'])).stderr, /version 2 \(more\) was applied, and its file is gone(.|\n)*version control/);
    assert.match((await w.fails(['verify'])).stderr, /version 2 \(more\)/);

    w.put('0002_more.sql', TWO['0002_more.sql']);
    w.put('0004_fourth.sql', 'CREATE TABLE fourth ()');
    w.remove('0003_third.sql');
    await w.ok(['up']);
    w.put('0003_third.sql', 'CREATE TABLE third ()');
    assert.match((await w.fails(['up'])).stderr, /0003_third\.sql is not applied, but a later one is(.|\n)*--out-of-order/);
    assert.match(await w.ok(['status']), /0003 {2}third {3}out of order/);
    assert.match(await w.ok(['up', '--out-of-order']), /0003_third\.sql/);
    await w.ok(['verify']);
});

test('an older folder than the database is no fault of up, but of verify', async () => {
    const w = await world(TWO);
    await w.ok(['up']);
    w.remove('0002_more.sql');
    assert.match(await w.ok(['up']), /nothing to do: 1 applied, and later ones that have no file here/);
    assert.match((await w.fails(['verify'])).stderr, /version 2 \(more\) was applied, and is later than every file here/);
});

test('a fault names file, line, column, message, detail and hint, and leaves nothing', async () => {
    const w = await world({
        ...TWO,
        '0003_bad.sql': "CREATE TABLE b (id int);\n-- é\nINSERT INTO b VALUES (1); SELECT 'é',\n  nope FROM b;\n",
        '0004_never.sql': 'CREATE TABLE never ()',
    });
    const bad = await w.fails(['up']);
    assert.match(bad.stderr, /migrations\/0003_bad\.sql:4:3: column "nope" does not exist/);
    assert.match(bad.stdout, /0003_bad\.sql {2}failed; nothing of it remains/);
    assert.equal(await w.value("SELECT to_regclass('b')"), null);
    assert.equal(await w.value("SELECT to_regclass('never')"), null);
    assert.match(await w.ok(['status']), /2 applied, 2 pending/);

    w.put('0003_bad.sql', 'CREATE TABLE b (id int);\n\n INSERT INTO a VALUES (1)');
    const twice = await w.fails(['up']);
    assert.match(twice.stderr, /0003_bad\.sql:3:2: duplicate key .*\n {2}why: Key \(id\)=\(1\) already exists/);

    w.put('0003_bad.sql', 'CREATE TABLE c (a int REFERENCES a DEFERRABLE INITIALLY DEFERRED);\nINSERT INTO c VALUES (0)');
    assert.match((await w.fails(['up'])).stderr, /0003_bad\.sql: at COMMIT: insert or update on table "c" violates foreign key/);

    w.put('0003_bad.sql', "DO $$ BEGIN RAISE 'no' USING HINT = 'do that', DETAIL = 'because'; END $$");
    assert.match((await w.fails(['up'])).stderr, /0003_bad\.sql:1:1: no\n {2}why: because\n {2}hint: do that/);

    w.put('0003_bad.sql', 'COPY a FROM STDIN;\n1\t2\n');
    assert.match((await w.fails(['up'])).stderr, /0003_bad\.sql:1:1: COPY/);
    w.put('0003_bad.sql', 'VACUUM a');
    assert.match((await w.fails(['up'])).stderr, /cannot run inside a transaction block\n.*no-transaction/);
    assert.equal(await w.value('SELECT count(*)::int FROM hasten.migration'), 2);
});

test('a fault that needs no server is found before the first statement runs', async () => {
    const w = await world({ ...TWO, '0003_bad.sql': 'SELECT 1;\nCOMMIT;' });
    assert.match((await w.fails(['up'])).stderr, /0003_bad\.sql:2:1: a migration must not begin or end a transaction/);
    assert.equal(await w.value("SELECT to_regclass('a')"), null);
    w.put('0003_bad.sql', "SELECT 'x");
    assert.match((await w.fails(['up'])).stderr, /0003_bad\.sql:1:8: a string is not closed/);
    w.remove('0003_bad.sql');
    w.put('0002_again.sql', 'SELECT 1');
    assert.match((await w.fails(['up'])).stderr, /version 2 is there twice\n.*0002_/);
    w.remove('0002_again.sql');
    w.put('third.sql', 'SELECT 1');
    assert.match((await w.fails(['up'])).stderr, /third\.sql is not the name of a migration/);
});

test('what the server remarks is shown', async () => {
    const w = await world({ '0001_remarks.sql': "CREATE TABLE IF NOT EXISTS t ();\nCREATE TABLE IF NOT EXISTS t ();\nDO $$ BEGIN RAISE WARNING 'careful'; END $$" });
    assert.match(await w.ok(['up']), /^ {2}NOTICE: relation "t" already exists, skipping\n {2}WARNING: careful\n/);
});

test('what a migration sets is not for the next one, nor does its role own the record', async () => {
    await pg.sql('CREATE ROLE nobody_much');
    const w = await world({
        '0001_role.sql': "CREATE SCHEMA s AUTHORIZATION nobody_much; SET ROLE nobody_much; SET search_path = s; CREATE TABLE t ()",
        '0002_after.sql': 'CREATE TABLE u ()',
        '0003_steps.sql': '-- hasten: no-transaction\nSET ROLE nobody_much;\nCREATE TABLE s.v ();',
    });
    await w.ok(['up']);
    assert.equal(await w.value("SELECT relowner::regrole::text FROM pg_class WHERE oid = 's.t'::regclass"), 'nobody_much');
    assert.equal(await w.value("SELECT relowner::regrole::text FROM pg_class WHERE oid = 'public.u'::regclass"), 'postgres');
    assert.equal(await w.value("SELECT relowner::regrole::text FROM pg_class WHERE oid = 's.v'::regclass"), 'nobody_much');
    assert.equal(await w.value('SELECT count(*)::int FROM hasten.migration'), 3);
});

test('two at once: one works, the other waits and finds nothing to do', async () => {
    const w = await world({ ...TWO, '0003_slow.sql': '-- hasten: no-transaction\nCREATE INDEX CONCURRENTLY slow ON a (n);\nSELECT pg_sleep(1.5);' });
    const both = await Promise.all([w.ok(['up']), w.ok(['up'])]);
    both.sort((one, two) => two.length - one.length);
    assert.match(both[0], /3 applied\n/);
    assert.match(both[1], /another migration is at work on this database; waiting\nnothing to do: 3 applied\n/);
    assert.equal(await w.value('SELECT count(*)::int FROM hasten.migration'), 3);
});

test('the wait for another one is bounded', async () => {
    const w = await world(TWO);
    const holder = await w.client();
    await holder.query('SELECT pg_advisory_lock(1751217012, 1)');
    const late = await w.fails(['up', '--wait', '0s']);
    assert.match(late.stderr, /another migration is at work(.|\n)*\(1751217012, 1\)(.|\n)*--wait/);
    await holder.end();
    await w.ok(['up']);
});

test('a lock that is not to be had ends the wait, and is tried for again', async () => {
    const w = await world({ ...TWO, '0003_alter.sql': 'CREATE TABLE extra ();\nALTER TABLE a ADD COLUMN more int;' });
    await w.ok(['up', '--to', '2']);
    const holder = await w.client();
    await holder.query('BEGIN; SELECT * FROM a');
    const refused = await w.fails(['up', '--lock-timeout', '50ms', '--retries', '1']);
    assert.match(refused.stdout, /trying again in \d\.\d s \(1 of 1\)/);
    assert.match(refused.stderr, /0003_alter\.sql:2:1: canceling statement due to lock timeout(.|\n)*pg_stat_activity/);
    assert.equal(await w.value("SELECT to_regclass('extra')"), null);

    const running = w.run(['up', '--lock-timeout', '50ms']);
    await waitUntil(() => w.value("SELECT count(*)::int FROM pg_stat_activity WHERE query LIKE 'ROLLBACK%' AND datname = current_database()"),
        { what: 'a first attempt that failed' });
    await holder.query('COMMIT');
    await holder.end();
    const { code, stdout } = await running;
    assert.equal(code, 0);
    assert.match(stdout, /trying again(.|\n)*1 applied/);
});

test('without a transaction: what failed is visible, repaired and gone on with', async () => {
    const w = await world({ ...TWO, '0003_index.sql': INDEX });
    const failed = await w.fails(['up']);
    assert.match(failed.stderr, /0003_index\.sql:2:1: could not create unique index "A n"\n {2}why: Key \(n\)=\(\d\) is duplicated/);
    assert.match(failed.stdout, /0003_index\.sql {2}stopped: 0 of 2 statements have run and stay/);
    assert.equal(await w.value(invalid), 1);
    assert.match(await w.ok(['status']), /0003 {2}index {3}unfinished(.|\n)*0 statements have run\n.*last fault: .*could not create unique index/);
    assert.match((await w.fails(['verify'])).stderr, /0003_index\.sql is unfinished/);

    assert.match(await w.ok(['up', '--dry-run']), /DROP INDEX CONCURRENTLY public\."A n";\nCREATE UNIQUE INDEX CONCURRENTLY "A n"/);
    assert.equal(await w.value(invalid), 1, 'a dry run changes nothing');

    await w.sql('UPDATE a SET n = id');
    w.put('0003_index.sql', INDEX.replace("'made'", "'made', nonsense"));
    const second = await w.fails(['up']);
    assert.match(second.stdout, /dropped the invalid index public\."A n", left by a failed attempt/);
    assert.match(second.stdout, /stopped: 1 of 2 statements/);
    assert.equal(await w.value(invalid), 0);
    assert.equal(await w.value("SELECT indisvalid FROM pg_index WHERE indexrelid = '\"A n\"'::regclass"), true);

    w.put('0003_index.sql', INDEX.replace('ON a (n)', 'ON a (id)'));
    assert.match((await w.fails(['up'])).stderr, /0003_index\.sql was changed where it has run already, in its first 1 statements/);

    w.put('0003_index.sql', INDEX);
    await w.ok(['up']);
    assert.equal(await w.value("SELECT obj_description('\"A n\"'::regclass)"), 'made');
    await w.ok(['verify']);
    assert.deepEqual(await w.sql('SELECT state, statements_done, failure FROM hasten.migration WHERE version = 3'),
        [{ state: 'applied', statements_done: 2, failure: null }]);
});

test('a connection that is lost leaves no half of a transaction, and the lock is free', async () => {
    const w = await world({ ...TWO, '0003_slow.sql': 'CREATE TABLE half ();\nSELECT pg_sleep(60);' });
    await w.ok(['up', '--to', '2']);
    const cut = async () => {
        const running = w.run(['up']);
        await waitUntil(() => w.value("SELECT count(pg_terminate_backend(pid))::int FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'"),
            { what: 'the migration to sleep' });
        return running;
    };
    const single = await cut();
    assert.equal(single.code, 1);
    assert.match(single.stderr, /0003_slow\.sql:2:1: .*terminating connection/);
    assert.equal(await w.value("SELECT to_regclass('half')"), null);
    assert.match(await w.ok(['status']), /0003 {2}slow {4}pending/);

    w.put('0003_slow.sql', '-- hasten: no-transaction\nCREATE TABLE half ();\nSELECT pg_sleep(60);');
    assert.equal((await cut()).code, 1);
    assert.match(await w.ok(['status']), /0003 {2}slow {4}unfinished(.|\n)*1 statements have run/);
    w.put('0003_slow.sql', '-- hasten: no-transaction\nCREATE TABLE half ();\nSELECT pg_sleep(0);');
    await w.ok(['up', '--wait', '0s']);
});

test('kill -9 leaves no half of a transaction, and soon no lock', async () => {
    const w = await world({ ...TWO, '0003_slow.sql': 'CREATE TABLE half ();\nSELECT pg_sleep(600);' });
    const child = spawn(hastenBin(), ['migrate', 'up'],
        { env: { ...process.env, HASTEN_MIGRATE_URL: pg.url({ db: w.db }), HASTEN_MIGRATE_DIR: w.dir }, stdio: 'ignore' });
    const ended = new Promise((resolve) => { child.once('exit', resolve); });
    await waitUntil(() => w.value("SELECT count(*)::int FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND datname = current_database()"),
        { what: 'the migration to sleep' });
    child.kill('SIGKILL');
    await ended;
    w.put('0003_slow.sql', 'CREATE TABLE half ();');
    assert.match(await w.ok(['up', '--wait', '30s']), /\n1 applied/, 'the server noticed that its client is gone');
});

test('an index that somebody else is building is left alone', async () => {
    const w = await world({ ...TWO, '0003_index.sql': INDEX });
    await w.fails(['up']);
    await w.sql('UPDATE a SET n = id');
    const holder = await w.client();
    await holder.query('BEGIN; LOCK TABLE a IN SHARE UPDATE EXCLUSIVE MODE');
    const busy = await w.fails(['up', '--retries', '0']);
    assert.match(busy.stderr, /public\."A n" is being built, or its table is in maintenance/);
    assert.equal(await w.value(invalid), 1);
    await holder.end();
    await w.ok(['up']);
});

test('a dry run prints SQL that psql can run to the same end', async () => {
    const w = await world({ ...TWO, '0003_index.sql': '-- hasten: no-transaction\nCREATE INDEX CONCURRENTLY i ON a (n)' });
    const before = await w.ok(['up', '--dry-run']);
    assert.match(before, /^-- first hasten's own schema/);
    assert.equal(await w.value("SELECT to_regnamespace('hasten')"), null, 'nothing happened');
    await w.ok(['up', '--to', '1']);
    const script = await w.ok(['up', '--dry-run']);
    assert.doesNotMatch(script, /CREATE TABLE a/);
    const file = path.join(w.dir, 'script.txt');
    fs.writeFileSync(file, script);
    await pg.psql(['-d', w.db, '-f', file]);
    assert.match(await w.ok(['verify']), /3 migrations/);
});

test('new makes the next file, which does nothing until it is written', async () => {
    const w = await world(TWO);
    assert.match(await w.ok(['new', 'Add client notes']), /migrations\/0003_add_client_notes\.sql\n$/);
    const file = path.join(w.dir, '0003_add_client_notes.sql');
    assert.match(fs.readFileSync(file, 'utf8'), /^-- add_client_notes: /);
    assert.match((await w.fails(['up'])).stderr, /there is no statement in .*0003/);
    fs.appendFileSync(file, 'CREATE TABLE notes ();\n');
    await w.ok(['up']);
    assert.match((await w.fails(['new', '--', '!!'])).stderr, /cannot be the name/);
    const empty = path.join(w.dir, 'fresh');
    assert.match(await w.ok(['new', 'first', '--dir', empty]), /fresh\/0001_first\.sql/);
});

test('asked wrongly: exit code 2; the connection string is never shown', async () => {
    const w = await world(TWO);
    for (const [args, env, expected] of [
        [[], {}, /migrate cannot do ""/],
        [['down'], {}, /migrate cannot do "down"/],
        [['up', 'now'], {}, /takes no word "now"/],
        [['new'], {}, /the name is missing/],
        [['up', '--lock-timeout', '5'], {}, /migrate\.lock_timeout: found "5", expected a duration/],
    ]) {
        assert.match((await w.fails(args, env, 2)).stderr, expected);
    }
    for (const url of ['postgresql://u:hushhush@127.0.0.1:1/x', 'password=hushhush nonsense', 'postgresql://u:hushhush@h/x?no=1']) {
        const { stdout, stderr } = await w.fails(['up'], { HASTEN_MIGRATE_URL: url });
        assert.doesNotMatch(stdout + stderr, /hushhush/);
    }
    const missing = await w.fails(['status'], { HASTEN_MIGRATE_DIR: path.join(w.dir, 'absent') });
    assert.match(missing.stderr, /could not read the folder .*absent\n {2}why: No such file/);
});

test('a role that may not make the schema is told what to do; one that may write the records can work', async () => {
    await pg.sql('CREATE ROLE deployer LOGIN');
    const w = await world({ '0001_t.sql': 'CREATE TABLE deploy.t ()' });
    const env = { HASTEN_MIGRATE_URL: '', HASTEN_DATABASE_URL: pg.url({ user: 'deployer', db: w.db }) };
    const refused = await w.fails(['up'], env);
    assert.match(refused.stderr, /could not make hasten's own schema\n.*permission denied(.|\n)*sql\/hasten\.sql/);
    await pg.psql(['-d', w.db, '-f', path.join(ROOT, 'sql/hasten.sql')]);
    await w.sql('CREATE SCHEMA deploy AUTHORIZATION deployer');
    await w.sql('GRANT USAGE ON SCHEMA hasten TO deployer; GRANT SELECT, INSERT, UPDATE ON hasten.migration TO deployer');
    await w.ok(['up'], env);
    assert.equal(await w.value('SELECT applied_by FROM hasten.migration'), 'deployer');
});

test('the demo uses it: status and verify of its database tell the truth', async () => {
    const folder = tempDir('demo-migrate', dataRoot);
    fs.chmodSync(folder, 0o755);
    const app = path.join(folder, 'shop');
    const data = path.join(folder, 'data');
    fs.mkdirSync(path.join(app, 'migrations'), { recursive: true });
    fs.writeFileSync(path.join(app, 'migrations/0001_login.sql'), 'CREATE ROLE authenticator LOGIN;\nCREATE TABLE t ();\n');
    fs.writeFileSync(path.join(app, 'seed.sql'), 'SELECT 1;');
    fs.writeFileSync(path.join(app, 'hasten.yaml'), 'server:\n  workers: 0x\n');   // so that it ends behind the set-up
    const demo = await hasten(['demo', '--data', data, '--app', app, '--port', '0'], { timeout: 120_000 });
    assert.match(demo.stdout, /migrations\/0001_login\.sql {2}\d/);
    const run = (...args) => hasten(['migrate', ...args, '--data', data, '--app', app], { timeout: 60_000 });
    assert.match((await run('status')).stdout, /0001 {2}login {2}applied .* by postgres\n1 applied, 0 pending/);
    assert.equal((await run('verify')).code, 0);
    fs.writeFileSync(path.join(app, 'migrations/0002_more.sql'), 'CREATE TABLE more ();');
    assert.match((await run('up')).stdout, /0002_more\.sql/);
    assert.match((await hasten(['migrate', 'status', '--data', path.join(folder, 'absent'), '--app', app])).stderr, /absent/);
});
