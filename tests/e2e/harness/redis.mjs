// SPDX-License-Identifier: Apache-2.0
// A real Redis of a test's own: Debian's redis-server on a unix socket and a free port of the loopback, nothing
// written to disk.

import { execFile } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';
import { freePort, spawnServer, tempDir, waitUntil, within } from './util.mjs';

const run = promisify(execFile);

export class Redis {
    /** `settings` of redis.conf, {name: value}, such as maxmemory or requirepass. */
    static async start(settings = {}) {
        const redis = new Redis(settings);
        redis.port = await freePort();
        await redis.start();
        return redis;
    }

    constructor(settings) {
        this.settings = settings;
        this.folder = tempDir('redis');
        this.socket = path.join(this.folder, 'socket');
        this.logFile = path.join(this.folder, 'log');
        this.child = null;
    }

    async start() {
        const settings = {
            bind: '127.0.0.1', port: this.port, unixsocket: this.socket, dir: this.folder, save: '', appendonly: 'no',
            daemonize: 'no', ...this.settings,
        };
        this.child = spawnServer('redis-server', Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
            { log: this.logFile });
        await waitUntil(async () => (await this.command('PING')) === 'PONG', { what: 'redis-server to answer' });
    }

    get url() {
        return `redis://127.0.0.1:${this.port}/0`;
    }

    get socketUrl() {
        return `unix://${this.socket}?db=0`;
    }

    /** The answer to one command, as redis-cli prints it. */
    async command(...words) {
        const { requirepass } = this.settings;
        const { stdout } = await run('redis-cli', ['-s', this.socket, ...requirepass ? ['--no-auth-warning', '-a', requirepass] : [], ...words.map(String)]);
        return stdout.trim();
    }

    /** Every value becomes bytes without meaning; the keys stay. */
    async fillWithRubbish() {
        await this.command('EVAL', `
            for _, key in ipairs(redis.call('KEYS', '*')) do
                redis.call('SET', key, string.rep(key, 3), 'KEEPTTL')
            end`, 0);
    }

    signal(name) {
        this.child.kill(name);
    }

    async kill9() {
        await this.stop('SIGKILL');
    }

    async stop(signal = 'SIGTERM') {
        if (!this.child) return;
        this.child.kill(signal);
        await within(10_000, this.child.ended, 'the end of redis-server');
        this.child = null;
    }

    get log() {
        return fs.existsSync(this.logFile) ? fs.readFileSync(this.logFile, 'utf8') : '';
    }
}
