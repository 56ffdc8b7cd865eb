// SPDX-License-Identifier: Apache-2.0
// Random changes of a random schema, in SQL, behind hasten's back.
//
// Many fail, as a user's would (a key that is taken, a row without its parent); then nothing was changed, and
// that must cost no wrong answer either.

import { TYPES, quote } from './tags-schema.mjs';

/** Every change: {sql, then: more, by itself, tables: whose rows are named in it, kind: 'rows' | 'many' | 'ddl'}. */
export class Changes {
    constructor(rng, schema) {
        Object.assign(this, { rng, schema });
        this.detached = [];
        this.prepared = 0;
    }

    next() {
        const chance = this.rng.next();
        if (chance < 0.12) return this.#ddl();
        if (chance < 0.3) return this.#transaction();
        return this.#rows();
    }

    // ---- rows ----

    #target() {
        const table = this.rng.pick(this.schema.tables);
        // A partition by its own name, or a parent together with its children.
        return this.rng.chance(0.3) ? this.rng.pick(table.leaves) : table;
    }

    #where(table) {
        const { rng, schema } = this;
        const column = rng.pick(table.columns);
        return rng.pick([
            () => `id = ${rng.between(1, 8) + (table.ids ?? 0)}`, () => `id = ${rng.between(1, 8) + (table.ids ?? 0)}`,
            () => `company_id = ${quote(rng.pick(schema.tenants))}`,
            () => `company_id = ${quote(rng.pick(schema.tenants))} AND id % 2 = 0`,
            () => `${column.name} IS ${rng.pick(['', 'NOT '])}NULL`,
            () => `${column.name}::text = (SELECT min(${column.name}::text) FROM api.${table.name})`,
            () => 'true',
        ])().replaceAll(/\bid\b/g, table.isGrants ? 'length(who)' : 'id');
    }

    #assignment(table) {
        const { rng, schema } = this;
        const open = table.columns.filter(({ generated, isReference }) => !generated && !isReference);
        const column = rng.chance(0.2) ? open.find(({ name }) => name === 'company_id') : rng.pick(open);
        if (column.name === 'id') return `id = ${rng.pick(['9 - id', 'id + 1', 'id'])}`;
        if (rng.chance(0.1) && !column.notNull) return `${column.name} = NULL`;
        if (rng.chance(0.1)) return `${column.name} = ${column.name}`;
        return `${column.name} = ${quote(rng.pick(schema.valuesOf(column)))}`;
    }

    #statements = [
        (table) => {
            const { names, values } = this.schema.row(table);
            return `INSERT INTO api.${table.name} (${names}) VALUES (${values}) ON CONFLICT DO NOTHING`;
        },
        (table) => {
            const { names, values } = this.schema.row(table);
            return `INSERT INTO api.${table.name} AS t (${names}) VALUES (${values}) ON CONFLICT (${table.key}) DO UPDATE SET ${this.#assignment(table)
                .replaceAll(/(?<== .*)\b(id|\w+_id|c\d+)\b/g, 't.$1')}`;
        },
        (table) => `UPDATE api.${table.name} SET ${this.#assignment(table)} WHERE ${this.#where(table)}`,
        (table) => `UPDATE api.${table.name} SET ${this.#assignment(table)} WHERE ${this.#where(table)}`,
        (table) => `UPDATE api.${table.name} SET ${this.#assignment(table)} WHERE ${this.#where(table)}`,
        (table) => `UPDATE api.${table.name} SET company_id = ${quote(this.rng.pick(this.schema.tenants))} WHERE ${this.#where(table)}`,
        (table) => `DELETE FROM api.${table.name} WHERE ${this.#where(table)}`,
        (table) => `MERGE INTO api.${table.name} t USING (SELECT ${quote(this.rng.pick(this.schema.tenants))}::${TYPES[this.schema.tenantType].sql} AS x) s
            ON t.company_id = s.x AND ${table.isGrants ? "t.who = 'a'" : 't.id < 4'} WHEN MATCHED THEN DELETE`,
    ];

    #rows() {
        const table = this.#target();
        const chance = this.rng.next();
        if (chance < 0.03) return { sql: `TRUNCATE ${this.rng.chance(0.2) ? 'ONLY ' : ''}api.${table.name} CASCADE`, tables: [table], kind: 'many' };
        if (chance < 0.08) return this.#copy(table);
        if (chance < 0.14) return this.#refill(table);
        return { sql: this.rng.pick(this.#statements)(table), tables: [table], kind: 'rows' };
    }

    #copy(table) {
        const columns = table.columns.filter(({ name }) => name === 'id' || name === 'company_id' || name === 'who');
        const needs = table.columns.some(({ name, notNull }) => notNull && !columns.some((it) => it.name === name));
        if (needs) return this.#refill(table);
        const values = columns.map((column) => (column.name === 'id' ? this.rng.between(1, 8) + (table.ids ?? 0) : this.rng.pick(this.schema.valuesOf(column))));
        return { sql: `COPY api.${table.name} (${columns.map(({ name }) => name)}) FROM PROGRAM $$printf '${values.join('\\t')}\\n'$$`,
            tables: [table], kind: 'rows' };
    }

    #refill(table) {
        const rows = Array.from({ length: 8 }, (_, i) => this.schema.row(table, i + 1 + (table.ids ?? 0)));
        return { sql: rows.map(({ names, values }) => `INSERT INTO api.${table.name} (${names}) VALUES (${values}) ON CONFLICT DO NOTHING`).join('; '),
            tables: [table], kind: 'many' };
    }

    #transaction() {
        const inner = Array.from({ length: this.rng.between(2, 4) }, () => this.#rows());
        const undone = this.#rows();
        const parts = inner.map(({ sql }) => `SAVEPOINT s; ${sql}`);
        if (this.rng.chance(0.5)) parts.splice(this.rng.int(parts.length), 0, `SAVEPOINT undone; ${undone.sql}; ROLLBACK TO SAVEPOINT undone`);
        const gid = `p${++this.prepared}`;
        const [end, then] = this.rng.pick([['COMMIT'], ['COMMIT'], ['ROLLBACK'], [`PREPARE TRANSACTION '${gid}'`, `COMMIT PREPARED '${gid}'`]]);
        return { sql: `BEGIN; ${parts.join('; ')}; ${end}`, then, tables: inner.flatMap(({ tables }) => tables), kind: 'many' };
    }

    // ---- the schema itself ----

    #ddl() {
        const { rng, schema } = this;
        const table = rng.pick(schema.tables.filter(({ isGrants }) => !isGrants));
        const leaf = rng.pick(table.leaves);
        const on = `ALTER TABLE api.${table.name}`;
        const names = table.columns.filter(({ type, name, generated }) => /^c\d/.test(name) && !generated && type === table.columns[2].type);
        const kinds = [
            () => schema.identity(leaf, rng.pick(['default', 'index', 'full'])),
            () => schema.identity(leaf, rng.pick(['default', 'index', 'full'])),
            () => `${on} ADD x${table.added++} text DEFAULT ${quote(rng.pick(['a', 'b']))}`,
            () => (table.added ? `${on} DROP x${--table.added}` : `${on} ADD x${table.added++} integer`),
            () => (names.length > 1 ? `BEGIN; ${on} RENAME ${names[0].name} TO swap; ${on} RENAME ${names[1].name} TO ${names[0].name};
                ${on} RENAME swap TO ${names[1].name}; COMMIT` : `${on} ALTER id TYPE bigint`),
            () => `DO $$ DECLARE p name; BEGIN FOR p IN SELECT polname FROM pg_policy WHERE polrelid = 'api.${table.name}'::regclass LOOP
                EXECUTE format('DROP POLICY %I ON api.${table.name}', p); END LOOP; END $$; ${schema.policies(table).join('; ') || 'SELECT'}`,
            () => `${on} ${rng.pick(['ENABLE', 'DISABLE', 'DISABLE', 'FORCE'])} ROW LEVEL SECURITY`,
            () => `REVOKE SELECT ON api.${table.name} FROM ${rng.pick(['viewer', 'member'])}`,
            () => `GRANT SELECT ON api.${table.name} TO viewer, member`,
            () => `ALTER POLICY own ON api.${table.name} USING (company_id = ${quote(rng.pick(schema.tenants))})`,
            () => `ALTER POLICY own ON api.${table.name} TO ${rng.pick(['viewer', 'member', 'crew', 'PUBLIC'])}`,
            () => this.#attach(table),
            () => `CREATE OR REPLACE FUNCTION api.tenant() RETURNS ${TYPES[schema.tenantType].sql} STABLE LANGUAGE sql AS
                $$ SELECT ${rng.chance(0.5) ? schema.claim : `${quote(rng.pick(schema.tenants))}::${TYPES[schema.tenantType].sql}`} $$`,
            () => `ANALYZE api.${table.name}`,
            () => `ALTER TABLE api.${leaf.name} ${rng.pick(['SET (fillfactor = 70)', 'CLUSTER ON none', 'ADD CHECK (true)'])}`,
            () => `BEGIN; ${this.#rows().sql}; ${on} ADD x${table.added++} integer; ${this.#rows().sql}; COMMIT`,
            () => `VACUUM FULL api.${leaf.name}`,
        ];
        return { sql: rng.pick(kinds)(), tables: [table], kind: 'ddl' };
    }

    #attach(table) {
        const at = this.detached.pop();
        if (at) return `ALTER TABLE api.${at.of.name} ATTACH PARTITION api.${at.name} ${at.bounds}`;
        const leaf = table.leaves.find(({ bounds }) => bounds && this.rng.chance(0.5));
        if (leaf) {
            this.detached.push(leaf);
            return `ALTER TABLE api.${table.name} DETACH PARTITION api.${leaf.name}`;
        }
        if (table.kind !== 'inherited') return `ALTER TABLE api.${table.name} ALTER id SET STATISTICS 10`;
        return `ALTER TABLE api.${table.leaves[1].name} ${this.rng.pick(['', 'NO '])}INHERIT api.${table.name}`;
    }
}
