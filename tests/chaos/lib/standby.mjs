// SPDX-License-Identifier: Apache-2.0
// Copies of a Pg, made by pg_basebackup: a streaming standby, connected through a proxy of its own so that it can
// fall behind, and promoted when its time comes; and a backup, which is as old as it is.

import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { Pg } from '../../e2e/harness/pg.mjs';
import { Proxy } from '../../e2e/harness/proxy.mjs';
import { freePort, waitUntil } from '../../e2e/harness/util.mjs';

const run = promisify(execFile);
const BIN = process.env.PG_BIN ?? '/usr/lib/postgresql/15/bin';
const owner = process.getuid() === 0 ? {
    uid: Number(execFileSync('id', ['-u', 'postgres'])), gid: Number(execFileSync('id', ['-g', 'postgres'])),
} : {};

/** A Pg that is not started, with the data that `primary` has now; `port` is where it is reached. */
async function copyOf(primary, port, settings, options = []) {
    const copy = new Pg({ fsync: primary.fsync, settings: { ...primary.settings, ...settings } });
    copy.port = await freePort();
    await run(`${BIN}/pg_basebackup`, ['-h', '127.0.0.1', '-p', String(port), '-U', 'postgres', '-D', copy.data,
        '-c', 'fast', '-X', 'stream', '--no-sync', ...options], { cwd: '/', ...owner });
    return copy;
}

/** A backup: started, it is the same server as `primary` on the same timeline, at the time of this call. */
export const backUp = (primary) => copyOf(primary, primary.port, {});

export class Standby {
    /** `settings`: more of them, for the standby only. It follows `primary` when this returns. */
    static async start(primary, settings = {}) {
        const standby = new Standby();
        standby.proxy = await Proxy.start({ host: '127.0.0.1', port: primary.port });
        standby.pg = await copyOf(primary, standby.proxy.port, settings, ['-R']);
        await standby.pg.start();
        await standby.catchUp(primary);
        return standby;
    }

    /** Waits until it has replayed what the primary has written by now. */
    async catchUp(primary) {
        const lsn = await primary.value('SELECT pg_current_wal_flush_lsn()');
        await waitUntil(() => this.pg.value('SELECT coalesce(pg_last_wal_replay_lsn() >= $1::pg_lsn, false)', { values: [lsn] }),
            { timeout: 60_000, what: 'the standby to catch up' });
    }

    /** It becomes a primary; returns its Pg. */
    async promote() {
        await this.pg.sql('SELECT pg_promote()');
        await waitUntil(() => this.pg.value('SELECT NOT pg_is_in_recovery()'), { timeout: 60_000, what: 'the promotion' });
        await this.proxy.stop();
        return this.pg;
    }

    async close() {
        await this.proxy.stop();
        await this.pg.close();
    }
}
