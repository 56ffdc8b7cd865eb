// SPDX-License-Identifier: Apache-2.0
// A real PostgreSQL 15 of a test's own: data in memory where possible, a free
// port on the loopback, a unix socket, nobody else's cluster touched.
//
// initdb and the example application are slow, so each is made once (per
// version, options and SQL text), kept as a template in the temporary folder,
// and copied. PostgreSQL refuses to run as root: then it runs as `postgres`.

import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import driver from 'pg';
import {
    KEEP, ROOT, childrenOf, dataRoot, freePort, isAlive, sleep, spawnServer, tempDir, waitUntil, within,
} from './util.mjs';

const run = promisify(execFile);
const isRoot = process.getuid() === 0;
const BIN = process.env.PG_BIN ?? '/usr/lib/postgresql/15/bin';
const CACHE = path.join(dataRoot, `hasten-cache-${process.getuid()}`);
const DAY_MS = 86_400_000;
const INITDB = ['--username=postgres', '--auth=trust', '--encoding=UTF8', '--locale=C.UTF-8', '--no-sync'];

export const EXAMPLE = path.join(ROOT, 'examples/clients-plus');
export const EXAMPLE_DB = 'clients_plus';

const user = isRoot ? {
    uid: Number(execFileSync('id', ['-u', 'postgres'])),
    gid: Number(execFileSync('id', ['-g', 'postgres'])),
} : undefined;

const own = (folder) => {
    if (user) fs.chownSync(folder, user.uid, user.gid);
    return folder;
};

// ---- templates -------------------------------------------------------------

/** One process at a time makes a template; a lock of a dead process is taken over. */
async function withLock(file, fn) {
    for (;;) {
        try {
            fs.writeFileSync(file, String(process.pid), { flag: 'wx' });
            break;
        } catch (error) {
            if (error.code !== 'EEXIST') throw error;
        }
        const holder = Number(await fs.promises.readFile(file, 'utf8').catch(() => '0'));
        if (holder && !isAlive(holder)) fs.rmSync(file, { force: true });
        await sleep(50);
    }
    try {
        return await fn();
    } finally {
        fs.rmSync(file, { force: true });
    }
}

function openCache() {
    fs.mkdirSync(CACHE, { recursive: true, mode: 0o755 });
    if (fs.statSync(CACHE).uid !== process.getuid()) throw new Error(`${CACHE} belongs to somebody else; remove it`);
    // Old templates, and what tests that were killed left behind.
    const left = fs.readdirSync(dataRoot).filter((name) => /^hasten-(pg|test|serve|bench)-/.test(name));
    for (const entry of [...left.map((name) => path.join(dataRoot, name)), ...fs.readdirSync(CACHE).map((name) => path.join(CACHE, name))]) {
        const { mtimeMs = Date.now(), uid } = fs.statSync(entry, { throwIfNoEntry: false }) ?? {};
        const mine = isRoot || uid === process.getuid();
        if (mine && Date.now() - mtimeMs > DAY_MS) fs.rmSync(entry, { recursive: true, force: true });
    }
}

/** The folder of a finished cluster for `key`; `make(folder)` fills it once. */
async function template(name, key, make) {
    openCache();
    const hash = createHash('sha256').update(JSON.stringify(key)).digest('hex').slice(0, 16);
    const folder = path.join(CACHE, `${name}-${hash}`);
    await withLock(`${folder}.lock`, async () => {
        if (fs.existsSync(folder)) {
            fs.utimesSync(folder, new Date(), new Date());
            return;
        }
        const draft = `${folder}.draft`;
        fs.rmSync(draft, { recursive: true, force: true });
        own((fs.mkdirSync(draft, { mode: 0o700 }), draft));
        await make(draft);
        fs.renameSync(draft, folder);
    });
    return folder;
}

const copyCluster = (from, to) => run('cp', ['-a', '--reflink=auto', from, to]);

async function emptyTemplate() {
    const version = (await run(`${BIN}/postgres`, ['--version'])).stdout;
    return template('empty', [version, INITDB], (folder) => run(`${BIN}/initdb`, [...INITDB, '-D', folder],
        { cwd: '/', ...user }));
}

function exampleFiles() {
    const migrations = path.join(EXAMPLE, 'migrations');
    return [
        ...fs.readdirSync(migrations).filter((name) => name.endsWith('.sql')).sort().map((name) => path.join(migrations, name)),
        path.join(EXAMPLE, 'seed.sql'),
    ];
}

async function exampleTemplate(scale) {
    const files = exampleFiles();
    const key = [scale, INITDB, files.map((file) => fs.readFileSync(file, 'utf8'))];
    return template('clients-plus', key, async (folder) => {
        const pg = await Pg.start();
        try {
            await pg.sql(`CREATE DATABASE ${EXAMPLE_DB}`);
            for (const file of files) {
                await pg.psql(['-1', '-d', EXAMPLE_DB, '-f', file], { PGOPTIONS: `-c hasten.seed_scale=${scale}` });
            }
            await pg.sql('VACUUM (ANALYZE)', { db: EXAMPLE_DB });
            await pg.stop();
            fs.rmSync(folder, { recursive: true });
            await copyCluster(pg.data, folder);
        } finally {
            await pg.close();
        }
    });
}

// ---- one cluster -----------------------------------------------------------

export class Pg {
    /**
     *   clientsPlus  scale (0.1 to 100) of the example application, to be found in database `clients_plus`
     *   settings     postgresql.conf settings, {name: value}
     *   fsync        off unless a test kills the machine, not the process
     *   root         folder for its data: memory unless the disk is what is measured
     *   hba          text of pg_hba.conf; trust for all unless given
     *   tls          {cert, key} of makeCertificates(): accepts TLS
     */
    static async start({ clientsPlus, ...options } = {}) {
        const pg = new Pg(options);
        pg.port = await freePort();
        await copyCluster(clientsPlus ? await exampleTemplate(clientsPlus) : await emptyTemplate(), pg.data);
        await pg.start();
        return pg;
    }

    constructor({ settings = {}, fsync = false, root = dataRoot, hba, tls } = {}) {
        this.folder = own(tempDir('pg', root));
        fs.chmodSync(this.folder, 0o755);
        this.data = path.join(this.folder, 'data');
        this.logFile = path.join(this.folder, 'log');
        this.settings = settings;
        this.fsync = fsync;
        this.hba = hba;
        this.tls = tls;
        this.child = null;
    }

    #settings() {
        const durable = this.fsync ? 'on' : 'off';
        return {
            fsync: durable, full_page_writes: durable, port: this.port,
            listen_addresses: '127.0.0.1', unix_socket_directories: this.folder,
            wal_level: 'logical', max_wal_senders: 10, max_replication_slots: 10,
            log_line_prefix: '%m [%p] %q%u@%d ', log_timezone: 'UTC', timezone: 'UTC',
            ...this.tls && { ssl: 'on', ssl_cert_file: 'server.crt', ssl_key_file: 'server.key' },
            ...this.settings,
        };
    }

    #installFiles() {
        const install = (name, text) => {
            fs.writeFileSync(path.join(this.data, name), text, { mode: 0o600 });
            own(path.join(this.data, name));
        };
        if (this.hba) install('pg_hba.conf', this.hba);
        if (this.tls) {
            install('server.crt', fs.readFileSync(this.tls.cert));
            install('server.key', fs.readFileSync(this.tls.key));
        }
    }

    /** Starts the server and waits until it answers. */
    async start() {
        if (this.child) throw new Error('PostgreSQL is already running');
        this.#installFiles();
        const args = Object.entries(this.#settings()).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
        this.child = spawnServer(`${BIN}/postgres`, ['-D', this.data, ...args],
            { log: this.logFile, cwd: '/', user, deathSignal: 'QUIT' });
        let ended;
        this.child.ended.then((how) => { ended = how; });
        try {
            await waitUntil(async () => ended || await this.sql('SELECT 1'),
                { timeout: 30_000, interval: 15, what: 'PostgreSQL to answer' });
            if (ended) throw new Error(`PostgreSQL ended with code ${ended.code}`);
        } catch (error) {
            throw new Error(`${error.message}\n${this.log.slice(-2000)}`, { cause: error });
        }
        if (KEEP) console.error(`kept: psql -h ${this.folder} -p ${this.port} -U postgres`);
        return this;
    }

    /** Ends the server: 'smart' waits for clients, 'fast' drops them, 'immediate' is a crash. */
    async stop(mode = 'fast') {
        if (!this.child) return;
        const signal = { smart: 'SIGTERM', fast: 'SIGINT', immediate: 'SIGQUIT' }[mode];
        if (!signal) throw new Error(`no such way to stop: ${mode}`);
        this.child.kill(signal);
        await within(60_000, this.child.ended, `PostgreSQL's ${mode} shutdown`);
        this.child = null;
    }

    async restart(mode = 'fast') {
        await this.stop(mode);
        await this.start();
    }

    /** kill -9 of the postmaster, as the kernel's memory killer does it; its children follow by themselves. */
    async kill9() {
        const { pid, ended } = this.child;
        const children = childrenOf(pid);
        process.kill(pid, 'SIGKILL');
        await within(10_000, ended, 'kill -9');
        this.child = null;
        await waitUntil(() => !children.some(isAlive), { timeout: 20_000, what: 'the children of the postmaster to end' });
    }

    /** Freezes ('SIGSTOP') or wakes ('SIGCONT') the postmaster and all its processes, the postmaster first. */
    signalAll(signal) {
        for (const pid of [this.child.pid, ...childrenOf(this.child.pid)]) {
            try {
                process.kill(pid, signal);
            } catch (error) {
                // A backend that had ended is reaped by a postmaster that goes on, and needs no signal.
                if (error.code !== 'ESRCH' || pid === this.child.pid) throw error;
            }
        }
    }

    /** Stops it and takes its data away, unless servers are kept. */
    async close() {
        if (KEEP) return;
        await this.stop('immediate');
        this.remove();
    }

    remove() {
        fs.rmSync(this.folder, { recursive: true, force: true });
    }

    /** Replaces the whole cluster by one with the example application, seeded at `scale`. */
    async loadClientsPlus(scale = 0.1) {
        const from = await exampleTemplate(scale);
        await this.stop('immediate');
        fs.rmSync(this.data, { recursive: true });
        await copyCluster(from, this.data);
        await this.start();
    }

    /** What a libpq URL needs to reach this server by its socket, or by TCP (`host`, `port` of a proxy). */
    url({ user: name = 'postgres', db = 'postgres', password, tcp = false, host = '127.0.0.1', port = this.port, ...rest } = {}) {
        const who = encodeURIComponent(name) + (password === undefined ? '' : `:${encodeURIComponent(password)}`);
        const where = tcp ? `${host}:${port}` : '';
        const query = new URLSearchParams(tcp ? rest : { host: this.folder, port: this.port, ...rest });
        return `postgresql://${who}@${where}/${db}${query.size ? `?${query}` : ''}`;
    }

    /** A connected client of npm's pg; the caller ends it. */
    async client({ user: name = 'postgres', db = 'postgres' } = {}) {
        const client = new driver.Client({ host: this.folder, port: this.port, user: name, database: db });
        client.on('error', () => {});   // a killed server ends it; the next query says so
        await client.connect();
        return client;
    }

    /**
     * What the coherent cache needs: schema hasten, and a login that may use it and follow the change stream.
     * (wal_level is logical unless `settings` says otherwise.)
     */
    async installFeed({ login = 'authenticator', db = EXAMPLE_DB } = {}) {
        await this.sql(fs.readFileSync(path.join(ROOT, 'sql/hasten.sql'), 'utf8'), { db });
        await this.sql(`SELECT hasten.allow('${login}'); ALTER ROLE ${login} REPLICATION`, { db });
    }

    /** Runs SQL (several statements too) and returns the rows of the last one. */
    async sql(text, { user: name, db, values } = {}) {
        const client = await this.client({ user: name, db });
        try {
            const result = await client.query(text, values);
            return (Array.isArray(result) ? result.at(-1) : result).rows;
        } finally {
            await client.end();
        }
    }

    /** The first column of the first row. */
    async value(text, options) {
        const [row] = await this.sql(text, options);
        return row && Object.values(row)[0];
    }

    /** psql with these arguments; stops at the first error. */
    async psql(args, env = {}) {
        const { stdout } = await run('psql', ['-XqAt', '-v', 'ON_ERROR_STOP=1', ...args], {
            env: { ...process.env, PGHOST: this.folder, PGPORT: this.port, PGUSER: 'postgres', ...env },
            maxBuffer: 2 ** 26,
        });
        return stdout;
    }

    get log() {
        return fs.existsSync(this.logFile) ? fs.readFileSync(this.logFile, 'utf8') : '';
    }
}
