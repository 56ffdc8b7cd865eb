// SPDX-License-Identifier: Apache-2.0
// A transaction as it will be: what it does to the content of tenants, beside the SQL that does it. Contents are
// never changed in place: a table that is written is copied first.

import { TABLES, makeRow, snake } from './tenants.mjs';

const quote = (value) => (typeof value === 'string' ? `'${value.replaceAll("'", "''")}'` : String(value));

export class Edit {
    /** `contents`: {tenant: content}; all of them are locked by the caller. */
    constructor(contents) {
        this.before = contents;
        this.after = Object.fromEntries(Object.entries(contents).map(([tenant, content]) => [tenant, { ...content }]));
    }

    /** A point to come back to, as a savepoint is. */
    mark() {
        return Object.fromEntries(Object.entries(this.after).map(([tenant, content]) => [tenant, { ...content }]));
    }

    back(mark) {
        this.after = mark;
    }

    get tenants() {
        return Object.keys(this.after).map(Number);
    }

    rows(table, tenant) {
        return [...this.after[tenant][table].values()];
    }

    // A copy for each change: a mark() may hold the one before.
    #write(table, tenant, change) {
        const rows = new Map(this.after[tenant][table]);
        change(rows);
        this.after[tenant][table] = rows;
    }

    #count(table, tenant) {
        if (table !== 'd') return;
        const { writes } = this.after[tenant].audit.get(tenant).row;
        this.#put('audit', tenant, { companyId: tenant, writes: writes + 1 });
    }

    #put(table, tenant, values) {
        const entry = makeRow(table, values);
        this.#write(table, tenant, (rows) => rows.set(entry.key, entry));
        return entry;
    }

    /** The values in the order of the table's columns, for SQL. */
    static values(table, values) {
        return `(${TABLES[table].columns.map((column) => quote(values[column])).join(', ')})`;
    }

    static columns(table) {
        return `chaos.${TABLES[table].name} (${TABLES[table].columns.map(snake).join(', ')})`;
    }

    static assignments(changes) {
        return Object.entries(changes).map(([column, value]) => `${snake(column)} = ${quote(value)}`).join(', ');
    }

    static where(table, values) {
        return `chaos.${TABLES[table].name} WHERE ${Edit.condition(values)}`;
    }

    static condition(values) {
        return Object.entries(values).map(([column, value]) => `${snake(column)} = ${quote(value)}`).join(' AND ');
    }

    /** Each of these returns its SQL. */
    insert(table, tenant, list) {
        for (const values of list) {
            this.#put(table, tenant, values);
            this.#count(table, tenant);
        }
        return `INSERT INTO ${Edit.columns(table)} VALUES ${list.map((values) => Edit.values(table, values)).join(', ')}`;
    }

    /** All rows of the tenant that match get the changes. */
    update(table, tenant, match, changes) {
        const test = Object.entries(match);
        for (const { row } of this.rows(table, tenant)) {
            if (!test.every(([column, value]) => row[column] === value)) continue;
            this.#put(table, tenant, { ...row, ...changes });
            this.#count(table, tenant);
        }
        const whose = table === 'tenants' ? { id: tenant } : { companyId: tenant, ...match };
        return `UPDATE chaos.${TABLES[table].name} SET ${Edit.assignments(changes)} WHERE ${Edit.condition(whose)}`;
    }

    remove(table, tenant, match) {
        const test = Object.entries(match);
        for (const { key, row } of this.rows(table, tenant)) {
            if (test.every(([column, value]) => row[column] === value)) this.#remove(table, tenant, key);
        }
        return `DELETE FROM ${Edit.where(table, { companyId: tenant, ...match })}`;
    }

    #remove(table, tenant, key) {
        this.#write(table, tenant, (rows) => rows.delete(key));
        this.#count(table, tenant);
        if (table === 'i') this.#write('children', tenant, (rows) => this.#orphans(rows, key));
    }

    #orphans(rows, itemId) {
        for (const { key, row } of [...rows.values()]) {
            if (row.itemId === itemId) rows.delete(key);
        }
    }

    /** A row changes its tenant, and its children theirs. */
    move(table, from, to, id, changes) {
        const { row } = this.after[from][table].get(id);
        this.#write(table, from, (rows) => rows.delete(id));
        this.#count(table, from);
        this.#put(table, to, { ...row, ...changes, companyId: to });
        this.#count(table, to);
        const sql = [`UPDATE chaos.${TABLES[table].name} SET ${Edit.assignments({ ...changes, companyId: to })} WHERE id = ${id}`];
        if (table !== 'i') return sql;
        for (const { key, row: child } of this.rows('children', from)) {
            if (child.itemId !== id) continue;
            this.#write('children', from, (rows) => rows.delete(key));
            this.#put('children', to, { ...child, companyId: to });
        }
        sql.push(`UPDATE chaos.children SET company_id = ${to} WHERE item_id = ${id}`);
        return sql;
    }

    truncate(table) {
        for (const tenant of this.tenants) this.after[tenant][table] = new Map();
        return `TRUNCATE chaos.${TABLES[table].name}`;
    }

    /** Members may not read memos any more, or again. */
    deny(isDenied) {
        for (const tenant of this.tenants) this.after[tenant].isDenied = isDenied;
        return isDenied ? 'REVOKE SELECT ON chaos.memos FROM member' : 'GRANT SELECT ON chaos.memos TO member';
    }

    /** TRUNCATE of one leaf of parts. */
    truncateRegion(region) {
        for (const tenant of this.tenants) {
            this.#write('parts', tenant, (rows) => {
                for (const { key, row } of [...rows.values()]) {
                    if (row.region === region) rows.delete(key);
                }
            });
        }
        return `TRUNCATE chaos.parts_${region}`;
    }
}
