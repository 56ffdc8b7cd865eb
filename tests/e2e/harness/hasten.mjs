// SPDX-License-Identifier: Apache-2.0
// The real program, started from a configuration that a test writes as an
// object. A test that ends well has stopped it with stop(), which fails on a
// bad exit and on any report of a sanitizer.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { KEEP, childrenOf, freePort, spawnServer, tempDir, waitUntil, within } from './util.mjs';

const REPORT = /ERROR: \w+Sanitizer|WARNING: ThreadSanitizer|SUMMARY: \w+Sanitizer|: runtime error: /;
const GDB = ['-q', '-batch', '-return-child-result', '-ex', 'set confirm off', '-ex', 'set pagination off',
    '-ex', 'handle SIGTERM SIGINT SIGHUP SIGUSR1 SIGUSR2 SIGPIPE SIGALRM nostop noprint pass',
    '-ex', 'run', '-ex', 'thread apply all backtrace full', '--args'];

export function hastenBin() {
    const bin = process.env.HASTEN_BIN;
    if (!bin) throw new Error('HASTEN_BIN is not set; `./dev test` sets it');
    return bin;
}

/** Our own settings must not become options, nor the caller's PG* reach the program. */
function cleanEnv(extra) {
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !/^(HASTEN_|PG[A-Z])/.test(name)));
    return { ...env, ...extra };
}

/** {'a.b': 1, c: {d: 2}} -> {a: {b: 1}, c: {d: 2}} */
function expand(config) {
    const result = {};
    for (const [name, value] of Object.entries(config)) {
        const keys = name.split('.');
        const last = keys.pop();
        const place = keys.reduce((at, key) => (at[key] ??= {}), result);
        const isMap = value !== null && typeof value === 'object' && !Array.isArray(value);
        place[last] = isMap ? { ...place[last], ...expand(value) } : value;
    }
    return result;
}

function render(value, indent) {
    if (Array.isArray(value) && value.length === 0) return ' []\n';
    if (Array.isArray(value)) {
        return `\n${value.map((item) => `${indent}-${render(item, `${indent}  `).replace(/^\n\s*/, ' ')}`).join('')}`;
    }
    if (value !== null && typeof value === 'object') {
        return `\n${Object.entries(value).filter(([, item]) => item !== undefined)
            .map(([key, item]) => `${indent}${key}:${render(item, `${indent}  `)}`).join('')}`;
    }
    return ` ${JSON.stringify(value)}\n`;
}

/** An object, with nested or dotted names, as YAML. A string is taken as it is. */
export function yaml(config) {
    return typeof config === 'string' ? config : render(expand(config), '').trimStart();
}

export const SECRET = 'the secret of the tests, of 32 bytes or more';

/** The configuration for the example application of Pg.start({clientsPlus}); anyone is a viewer. */
export function exampleConfig(pg, extra = {}) {
    return {
        'database.url': pg.url({ user: 'authenticator', db: 'clients_plus' }),
        'database.schemas': ['api'],
        'auth.jwt.secret': SECRET,
        'auth.roles': ['viewer', 'member'],
        'auth.anonymous_role': 'viewer',
        ...extra,
    };
}

export class Hasten {
    /**
     *   config   an object (see yaml) or text; server.listen is added where it is absent
     *   env      environment variables
     *   args     more arguments of `hasten serve`
     *   flag     what names the configuration: --config, or --postgrest-conf
     *   ready    false: do not wait for /health/ready
     */
    static async start(config = {}, { env = {}, args = [], flag = '--config', ready = true, timeout = 20_000 } = {}) {
        const hasten = new Hasten();
        await hasten.prepare(config);
        await hasten.spawn({ env, args, flag, ready, timeout });
        return hasten;
    }

    constructor() {
        this.folder = tempDir('serve');
        this.configFile = path.join(this.folder, 'hasten.yaml');
        this.logFile = path.join(this.folder, 'log');
        this.child = null;
    }

    /** Takes a free port and writes the configuration file. */
    async prepare(config) {
        this.port = await freePort();
        this.url = `http://127.0.0.1:${this.port}`;
        this.configure(config);
    }

    /** Writes the configuration file; a running program learns of it by signal('SIGHUP'). */
    configure(config) {
        const text = typeof config === 'string' ? config.replaceAll('{{port}}', String(this.port))
            : yaml({ 'server.listen': `127.0.0.1:${this.port}`, ...expand(config) });
        fs.writeFileSync(this.configFile, text);
    }

    async spawn({ env = {}, args = [], flag = '--config', ready = true, timeout = 20_000 } = {}) {
        const bin = hastenBin();
        const line = [bin, 'serve', flag, this.configFile, ...args];
        const command = process.env.HASTEN_GDB === '1' ? ['gdb', ...GDB, ...line] : line;
        this.child = spawnServer(command[0], command.slice(1), { log: this.logFile, env: cleanEnv(env) });
        this.child.ended.then((how) => { this.how = how; });
        this.how = null;
        if (KEEP) console.error(`kept: ${this.url} (pid ${this.child.pid}, log ${this.logFile})`);
        if (ready) await this.ready(timeout);
    }

    async ready(timeout = 20_000) {
        try {
            await waitUntil(async () => this.how || (await this.fetch('/health/ready')).status === 200,
                { timeout, interval: 10, what: 'hasten to be ready' });
            if (this.how) throw new Error(`hasten ended with code ${this.how.code}, signal ${this.how.signal}`);
        } catch (error) {
            throw new Error(`${error.message}\n${this.log.slice(-4000)}`, { cause: error });
        }
    }

    get pid() {
        return process.env.HASTEN_GDB === '1' ? childrenOf(this.child.pid)[0] : this.child.pid;
    }

    get log() {
        return fs.existsSync(this.logFile) ? fs.readFileSync(this.logFile, 'utf8') : '';
    }

    logContains(pattern) {
        return pattern instanceof RegExp ? pattern.test(this.log) : this.log.includes(pattern);
    }

    waitLog(pattern, timeout = 10_000) {
        return waitUntil(() => this.logContains(pattern), { timeout, what: `the log to contain ${pattern}` });
    }

    /** fetch() of a path; `token` becomes the Authorization header. */
    fetch(where, { token, headers, ...options } = {}) {
        return fetch(this.url + where, {
            redirect: 'manual',
            signal: AbortSignal.timeout(30_000),
            ...options,
            headers: { ...token && { authorization: `Bearer ${token}` }, ...headers },
        });
    }

    /** fetch() and the whole answer: {status, headers, text, body}; body is parsed where it is JSON. */
    async get(where, options) {
        const answer = await this.fetch(where, options);
        const text = await answer.text();
        const isJson = /\bjson\b/.test(answer.headers.get('content-type') ?? '');
        return { status: answer.status, headers: answer.headers, text, body: isJson && text ? JSON.parse(text) : undefined };
    }

    signal(name) {
        process.kill(this.pid, name);
    }

    /**
     * SIGTERM, and the program must drain, end with `code`, and no sanitizer may have spoken.
     * Where servers are kept, a plain stop() leaves it running.
     */
    async stop(options) {
        if (!this.child || (KEEP && !options)) return;
        const { code = 0, signal = 'SIGTERM', timeout = 30_000 } = options ?? {};
        if (!this.how) this.signal(signal);
        try {
            await within(timeout, this.child.ended, 'the shutdown of hasten');
        } catch (error) {
            this.signal('SIGABRT');
            await within(10_000, this.child.ended, 'abort');
            throw new Error(`${error.message}\n${this.log.slice(-4000)}`, { cause: error });
        }
        const end = this.how ?? await this.child.ended;
        this.child = null;
        this.assertNoReport();
        assert.deepEqual({ code: end.code, signal: end.signal }, { code, signal: null }, `hasten's end\n${this.log.slice(-4000)}`);
    }

    assertNoReport() {
        const { log } = this;
        const at = log.search(REPORT);
        assert.ok(at < 0, `a sanitizer reports:\n${log.slice(Math.max(0, at - 200), at + 6000)}`);
    }

    /** kill -9. */
    async kill9() {
        this.signal('SIGKILL');
        await within(10_000, this.child.ended, 'kill -9');
        this.child = null;
    }
}

/** Runs the program once: {code, signal, stdout, stderr}. A sanitizer's report is a failure. */
export async function hasten(args, { input = '', env = {}, cwd, timeout = 30_000 } = {}) {
    const child = spawn(hastenBin(), args, { env: cleanEnv(env), cwd, stdio: 'pipe', timeout, killSignal: 'SIGABRT' });
    const collect = async (stream) => Buffer.concat(await stream.toArray()).toString('utf8');
    const ended = new Promise((resolve, reject) => {
        child.once('error', reject);
        child.once('close', (code, signal) => resolve({ code, signal }));
    });
    child.stdin.on('error', () => {});      // it need not read
    child.stdin.end(input);
    const [stdout, stderr, how] = await Promise.all([collect(child.stdout), collect(child.stderr), ended]);
    assert.doesNotMatch(stderr, REPORT, 'a sanitizer reports');
    return { ...how, stdout, stderr };
}
