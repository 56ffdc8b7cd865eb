// SPDX-License-Identifier: Apache-2.0
// A small reader of pgoutput's messages (PostgreSQL 15 manual, 55.9), for tests that look at the change stream
// through SQL. It is written apart from the program's own reader, so that the two do not err together.

class Bytes {
    constructor(buffer) {
        this.buffer = buffer;
        this.at = 0;
    }

    #step(n) {
        this.at += n;
        return this.at - n;
    }

    char = () => String.fromCharCode(this.buffer.readUInt8(this.#step(1)));
    byte = () => this.buffer.readUInt8(this.#step(1));
    int16 = () => this.buffer.readUInt16BE(this.#step(2));
    int32 = () => this.buffer.readUInt32BE(this.#step(4));
    lsn = () => this.buffer.readBigUInt64BE(this.#step(8));
    text = (n) => this.buffer.toString('utf8', this.#step(n), this.at);

    cstring() {
        const text = this.text(this.buffer.indexOf(0, this.at) - this.at);
        this.at += 1;
        return text;
    }
}

/** The values in the order of the stream's columns; undefined where the stream does not say. */
function tuple(b) {
    return Array.from({ length: b.int16() }, () => {
        const kind = b.char();
        return kind === 'n' ? null : kind === 'u' ? undefined : b.text(b.int32());
    });
}

function change(b, message) {
    let kind = b.char();
    if (kind === 'K' || kind === 'O') {
        message[kind === 'K' ? 'key' : 'old'] = tuple(b);
        if (message.type === 'D') return message;
        kind = b.char();
    }
    return { ...message, new: tuple(b) };
}

const readers = {
    B: (b) => ({ finalLsn: b.lsn(), at: b.lsn(), xid: b.int32() }),
    C: (b) => ({ flags: b.byte(), commitLsn: b.lsn(), endLsn: b.lsn() }),
    R: (b) => ({
        oid: b.int32(), schema: b.cstring(), name: b.cstring(), identity: b.char(),
        columns: Array.from({ length: b.int16() }, () => {
            const column = { isKey: b.byte() === 1, name: b.cstring(), type: b.int32() };
            b.int32();
            return column;
        }),
    }),
    I: (b) => change(b, { type: 'I', oid: b.int32() }),
    U: (b) => change(b, { type: 'U', oid: b.int32() }),
    D: (b) => change(b, { type: 'D', oid: b.int32() }),
    T: (b) => {
        const n = b.int32();
        return { options: b.byte(), oids: Array.from({ length: n }, () => b.int32()) };
    },
    M: (b) => {
        const message = { isTransactional: b.byte() === 1, lsn: b.lsn(), prefix: b.cstring() };
        return { ...message, content: b.text(b.int32()) };
    },
};

export function decode(buffer) {
    const b = new Bytes(buffer);
    const type = b.char();
    return { type, ...readers[type]?.(b) };
}

/**
 * What the slot has for `publication`, decoded; it is taken unless `peek`. `options` are further ones of
 * pgoutput; `pg` is a Pg of the harness, `db` the slot's database.
 */
export async function changes(pg, { slot, publication, db = 'postgres', peek = false, options = { messages: 'true' } }) {
    const words = { proto_version: '1', publication_names: publication, ...options };
    const verb = peek ? 'peek' : 'get';
    const rows = await pg.sql(`SELECT data FROM pg_logical_slot_${verb}_binary_changes($1, NULL, NULL, VARIADIC $2::text[])`,
        { db, values: [slot, Object.entries(words).flat()] });
    return rows.map((row) => decode(row.data));
}
