// SPDX-License-Identifier: Apache-2.0
// What the writers of the coherence runs do. An entry makes one transaction:
//
//   {what, sql: [statements], end}       behind hasten's back; end: COMMIT unless it says otherwise
//   {what, http: {method, path, body}}   through hasten, as the tenant
//
// and tells the Edit what it does. undefined: not possible as the content is now.

import { bigText, REGIONS, SLOTS, STATUSES, TABLES } from './tenants.mjs';
import { Edit } from './edit.mjs';

const ITEMS = ['d', 'i', 'f'];
const ROWS_MAX = 2 * SLOTS;
const MOST_ROWS_LARGE = 2000;

/** `place` is where the ids of all rows are known: {isFree(table, id), version(), ballast}. */
export class Writes {
    constructor(place, rng) {
        Object.assign(this, { place, rng });
    }

    // ---- chance ----

    #table = () => this.rng.pick(ITEMS);

    #note(tenant) {
        if (this.rng.chance(0.15)) return bigText(tenant);
        return this.rng.chance(0.1) ? `long${this.place.version()}`.padEnd(3000, 'z') : `note ${this.rng.int(1000)}`;
    }

    #free(table, tenant, most = 1) {
        const ids = Array.from({ length: SLOTS }, (_, i) => tenant * 100 + i + 1).filter((id) => this.place.isFree(table, id));
        return this.rng.shuffle(ids).slice(0, most);
    }

    #item(tenant, id) {
        return { id, companyId: tenant, status: this.rng.pick(STATUSES), n: this.rng.int(12), ver: this.place.version(), note: this.#note(tenant) };
    }

    /** Changes of a row of items: always the version, and now and then what filters look at. */
    #changes(tenant) {
        const changes = { ver: this.place.version() };
        if (this.rng.chance(0.4)) changes.status = this.rng.pick(STATUSES);
        if (this.rng.chance(0.4)) changes.n = this.rng.int(12);
        if (this.rng.chance(0.2)) changes.note = this.#note(tenant);
        return changes;
    }

    #any(edit, table, tenant) {
        const rows = edit.rows(table, tenant);
        return rows.length ? this.rng.pick(rows).row : undefined;
    }

    // ---- single rows; through hasten or in SQL ----

    #insert(edit, tenant, most) {
        const table = this.#table();
        const list = this.#free(table, tenant, most).map((id) => this.#item(tenant, id));
        if (!list.length || edit.rows(table, tenant).length + list.length > ROWS_MAX) return undefined;
        return { table, list, sql: edit.insert(table, tenant, list) };
    }

    #update(edit, tenant) {
        const table = this.#table();
        const row = this.#any(edit, table, tenant);
        if (!row) return undefined;
        const changes = this.#changes(tenant);
        return { table, row, changes, sql: edit.update(table, tenant, { id: row.id }, changes) };
    }

    #bulk(edit, tenant) {
        const table = this.#table();
        const status = this.rng.pick(STATUSES);
        const changes = { ver: this.place.version(), n: this.rng.int(12) };
        if (this.rng.chance(0.3)) changes.status = this.rng.pick(STATUSES);
        if (!edit.rows(table, tenant).some(({ row }) => row.status === status)) return undefined;
        return { table, status, changes, sql: edit.update(table, tenant, { status }, changes) };
    }

    #remove(edit, tenant) {
        const table = this.#table();
        const row = edit.rows(table, tenant).length > 2 && this.#any(edit, table, tenant);
        return row ? { table, row, sql: edit.remove(table, tenant, { id: row.id }) } : undefined;
    }

    #child(edit, tenant) {
        const parent = this.#any(edit, 'i', tenant);
        const [id] = this.#free('children', tenant);
        if (!parent || id === undefined) return undefined;
        const values = { id, itemId: parent.id, companyId: tenant, n: this.rng.int(12), ver: this.place.version() };
        return { values, sql: edit.insert('children', tenant, [values]) };
    }

    #part(edit, tenant) {
        const row = this.#any(edit, 'parts', tenant);
        if (!row || this.rng.chance(0.3)) return this.#newPart(edit, tenant);
        const changes = { ver: this.place.version(), region: this.rng.pick(REGIONS.slice(0, 3)) };
        return { row, changes, sql: edit.update('parts', tenant, { id: row.id }, changes) };
    }

    #newPart(edit, tenant) {
        const [id] = this.#free('parts', tenant);
        if (id === undefined) return undefined;
        const values = { id, region: this.rng.pick(REGIONS.slice(0, 3)), companyId: tenant, n: this.rng.int(12), ver: this.place.version() };
        return { values, sql: edit.insert('parts', tenant, [values]) };
    }

    // ---- through hasten ----

    http(kind, edit, tenant) {
        const made = this.#http[kind](edit, tenant);
        return made && { what: `${kind} through hasten`, http: made };
    }

    get httpKinds() {
        return Object.keys(this.#http);
    }

    #http = {
        insert: (edit, tenant) => this.#post(this.#insert(edit, tenant, 1)),
        insertMany: (edit, tenant) => this.#post(this.#insert(edit, tenant, 4)),
        update: (edit, tenant) => {
            const made = this.#update(edit, tenant);
            return made && { method: 'PATCH', path: `${TABLES[made.table].path}/${made.row.id}`, body: made.changes };
        },
        bulk: (edit, tenant) => {
            const made = this.#bulk(edit, tenant);
            return made && { method: 'PATCH', path: `${TABLES[made.table].path}?status=${made.status}`, body: made.changes };
        },
        remove: (edit, tenant) => {
            const made = this.#remove(edit, tenant);
            return made && { method: 'DELETE', path: `${TABLES[made.table].path}/${made.row.id}` };
        },
        child: (edit, tenant) => {
            const made = this.#child(edit, tenant);
            return made && { method: 'POST', path: 'children', body: made.values };
        },
        part: (edit, tenant) => {
            const made = this.#part(edit, tenant);
            if (made?.values) return { method: 'POST', path: 'parts', body: made.values };
            return made && { method: 'PATCH', path: `parts/${made.row.id},${made.row.region}`, body: made.changes };
        },
        rename: (edit, tenant) => {
            const ver = this.place.version();
            edit.update('tenants', tenant, {}, { name: `tenant ${ver}`, ver });
            return { method: 'PATCH', path: `tenants/${tenant}`, body: { name: `tenant ${ver}`, ver } };
        },
    };

    #post(made) {
        return made && { method: 'POST', path: TABLES[made.table].path, body: made.list.length > 1 ? made.list : made.list[0] };
    }

    // ---- behind its back ----

    /** `others`: how many more tenants a kind needs; 'memos' = those that have memos, all of them. */
    static needs(kind) {
        return { move: 1, memo: 'memos', truncate: 'memos', truncateLeaf: 'memos', leaf: 'memos', revoke: 'memos' }[kind] ?? 0;
    }

    /** How often a kind happens, beside the others. */
    static weight(kind) {
        return { large: 0.1, truncate: 0.4, truncateLeaf: 0.4, copy: 0.5, memo: 0.6, leaf: 0.6, lingering: 0.02, revoke: 0.02, update: 4, bulk: 2, move: 3 }[kind] ?? 1;
    }

    get sqlKinds() {
        return Object.keys(this.#sql);
    }

    sql(kind, edit, tenant) {
        const made = this.#sql[kind](edit, tenant);
        if (!made) return undefined;
        const done = Array.isArray(made) || typeof made === 'string' ? { sql: [made].flat() } : made;
        return { what: `${kind} in SQL`, ...done };
    }

    #sql = {
        insert: (edit, tenant) => this.#insert(edit, tenant, 3)?.sql,
        update: (edit, tenant) => this.#update(edit, tenant)?.sql,
        bulk: (edit, tenant) => this.#bulk(edit, tenant)?.sql,
        remove: (edit, tenant) => this.#remove(edit, tenant)?.sql,
        child: (edit, tenant) => this.#child(edit, tenant)?.sql,
        part: (edit, tenant) => this.#part(edit, tenant)?.sql,
        rename: (edit, tenant) => {
            const ver = this.place.version();
            return edit.update('tenants', tenant, {}, { name: `tenant ${ver}`, ver });
        },
        move: (edit, tenant) => this.#move(edit, tenant),
        several: (edit, tenant) => [this.#update(edit, tenant), this.#insert(edit, tenant, 2), this.#remove(edit, tenant)]
            .filter(Boolean).map(({ sql }) => sql),
        copy: (edit, tenant) => this.#copy(edit, tenant),
        large: (edit, tenant) => this.#large(edit, tenant),
        savepoint: (edit, tenant) => this.#savepoint(edit, tenant),
        rollback: (edit, tenant) => this.#undone(edit, tenant, 'ROLLBACK'),
        prepared: (edit, tenant) => ({ sql: [this.#update(edit, tenant)?.sql].filter(Boolean), end: 'PREPARED' }),
        unprepared: (edit, tenant) => this.#undone(edit, tenant, 'ROLLBACK PREPARED'),
        lingering: (edit, tenant) => [this.#update(edit, tenant)?.sql, `SELECT pg_sleep(${this.rng.next().toFixed(3)})`].filter(Boolean),
        memo: (edit, tenant) => {
            const [id] = this.#free('memos', tenant);
            return id && edit.insert('memos', tenant, [{ id, companyId: tenant, ver: this.place.version() }]);
        },
        leaf: (edit, tenant) => {
            const row = this.#any(edit, 'parts', tenant);
            return row && edit.update('parts', tenant, { id: row.id }, { region: 'z', ver: this.place.version() });
        },
        revoke: (edit, tenant) => edit.deny(!edit.after[tenant].isDenied),
        truncate: (edit) => edit.truncate('memos'),
        truncateLeaf: (edit) => edit.truncateRegion('z'),
    };

    #move(edit, tenant) {
        const table = this.#table();
        const to = edit.tenants.find((other) => other !== tenant);
        const row = this.#any(edit, table, tenant);
        if (!row || edit.rows(table, to).length >= ROWS_MAX) return undefined;
        return edit.move(table, tenant, to, row.id, { ver: this.place.version() });
    }

    #copy(edit, tenant) {
        const made = this.#insert(edit, tenant, 4);
        if (!made) return undefined;
        const lines = made.list.map((values) => TABLES[made.table].columns.map((column) => values[column]).join('\\t')).join('\\n');
        return `COPY ${Edit.columns(made.table)} FROM PROGRAM $program$printf '${lines}\\n'$program$`;
    }

    /** Begins with a row that is read, so that the stream has that first, long before the end. */
    #large(edit, tenant) {
        const first = this.#update(edit, tenant);
        const rows = Math.min(this.place.ballast, MOST_ROWS_LARGE);
        return first && [first.sql, `UPDATE chaos.ballast SET ver = ver + 1 WHERE id <= ${rows}`, this.#update(edit, tenant)?.sql].filter(Boolean);
    }

    #savepoint(edit, tenant) {
        const kept = this.#update(edit, tenant);
        if (!kept) return undefined;
        const mark = edit.mark();
        const undone = [this.#update(edit, tenant)?.sql, this.#insert(edit, tenant, 2)?.sql];
        edit.back(mark);
        return [kept.sql, 'SAVEPOINT one', ...undone, 'ROLLBACK TO SAVEPOINT one', 'SAVEPOINT two', this.#update(edit, tenant)?.sql,
            'RELEASE SAVEPOINT two'].filter(Boolean);
    }

    #undone(edit, tenant, end) {
        const mark = edit.mark();
        const sql = [this.#update(edit, tenant)?.sql, this.#bulk(edit, tenant)?.sql, this.#remove(edit, tenant)?.sql].filter(Boolean);
        edit.back(mark);
        return sql.length ? { sql, end } : undefined;
    }
}
