// SPDX-License-Identifier: Apache-2.0
// A random schema for the proof of tags: tables of every kind that the cache tells apart, and small pools of
// values, so that changes meet what was asked.

import { sign } from '../../e2e/harness/jwt.mjs';
import { SECRET } from '../../e2e/harness/hasten.mjs';

const CLAIMS = "nullif(current_setting('request.jwt.claims', true), '')::jsonb";
const LONG = (letter) => letter.repeat(2200);       // longer than what PostgreSQL keeps in the row

/** What columns are made of: `values` are stored, `asked` are further spellings and values of queries. */
export const TYPES = {
    int: { sql: 'integer', values: ['0', '1', '2', '-1'], asked: ['007', '+1', ' 2', '-0', '1.0', '0x1', '2147483648', 'one'] },
    bigint: { sql: 'bigint', values: ['1', '2', '9007199254740993'], asked: ['9007199254740992', '0001', '-9223372036854775808'] },
    small: { sql: 'smallint', values: ['1', '2', '3'], asked: ['01', '70000'] },
    text: { sql: 'text', values: ['a', 'A', 'b', '', 'x,y', 'say "hi"', 'é', 'null', '1'], asked: ['a ', 'e\u0301', '%', '\\'], isText: true },
    varchar: { sql: 'varchar(5)', values: ['ab', 'ab ', 'AB', 'long!'], asked: ['ab  ', 'long!long!', 'ab'], isText: true },
    char: { sql: 'char(4)', values: ['ab', 'cd', 'ab c'], asked: ['ab ', 'ab  ', 'ab   '], isText: true },
    folded: { sql: 'text COLLATE api.folded', values: ['a', 'A', 'b'], asked: ['B'], isText: true },
    bool: { sql: 'boolean', values: ['true', 'false'], asked: ['t', 'f', '1', '0', 'yes', 'ON', 'TRUE', 'tr', 'no'] },
    uuid: {
        sql: 'uuid', values: [1, 2, 3].map((i) => `a0000000-0000-4000-8000-00000000000${i}`),
        asked: ['A0000000-0000-4000-8000-000000000001', '{a0000000-0000-4000-8000-000000000002}', 'a0000000000040008000000000000003'],
    },
    date: { sql: 'date', values: ['2026-01-01', '2026-02-28', 'infinity'], asked: ['2026-1-1', 'January 1, 2026', '20260228', 'today', '2026-02-30'] },
    timestamptz: {
        sql: 'timestamptz', values: ['2026-01-01T00:00:00Z', '2026-06-01T12:00:00Z', '-infinity'],
        asked: ['2026-01-01T01:00:00+01:00', '2026-01-01', 'now', '2026-06-01 12:00:00+00'],
    },
    numeric: { sql: 'numeric', values: ['1', '1.0', '1.00', '2.5', 'NaN'], asked: ['1e0', '01', '2.50', 'nan'] },
    float: { sql: 'double precision', values: ['0', '-0', '1', 'NaN'], asked: ['0.0', '1e0', '-0.0'] },
    mood: { sql: 'api.mood', values: ['sad', 'ok', 'happy'], asked: ['Sad', 'glad'], isText: true },
    jsonb: { sql: 'jsonb', values: ['{"a": 1}', '{"a": 1.0}', '[]', 'null'], asked: ['{"a":1}', '{"a":1.00}'] },
    positive: { sql: 'api.positive', values: ['1', '2'], asked: ['01', '-1'] },
    word: { sql: 'api.word', values: ['a', 'b', 'A'], asked: ['a '], isText: true },
    interval: { sql: 'interval', values: ['1 day', '24 hours', '1 mon'], asked: ['P1D', '30 days'] },
    ints: { sql: 'integer[]', values: ['{1,2}', '{2,1}', '{}'], asked: ['{1, 2}', '{01,2}'] },
    big: { sql: 'text', values: [LONG('p'), LONG('q'), 'short'], asked: [], isText: true, isToasted: true },
};
const TENANT_TYPES = ['int', 'int', 'bigint', 'text', 'uuid'];
const TENANTS = { int: ['1', '2', '3'], bigint: ['1', '2', '3'], text: ['one', 'two', 'three'], uuid: TYPES.uuid.values };
const IDS = 8, CHILD_IDS = 100;

export const quote = (value) => (value === null ? 'NULL' : `'${String(value).replaceAll("'", "''")}'`);
export const ident = (name) => `"${name.replaceAll('"', '""')}"`;

export class Schema {
    constructor(rng) {
        this.rng = rng;
        this.tenantType = rng.pick(TENANT_TYPES);
        this.tenants = TENANTS[this.tenantType];
        this.callers = this.#callers();
        this.tables = [];
        this.views = [];
        this.claim = `(${CLAIMS} ->> 'company_id')::${TYPES[this.tenantType].sql}`;
        const count = rng.between(1, 4);
        for (let i = 0; i < count; i++) this.tables.push(this.#table(i));
        this.tables.push(this.#grants());
        // A policy may read the last of them.
        this.statements = [this.#prelude(), ...[this.tables.at(-1), ...this.tables.slice(0, -1)].flatMap((table) => this.#create(table)),
            ...this.#triggers()];
        for (let i = rng.int(4); i > 0; i--) this.#view();
        this.statements.push(this.#rights(), ...this.tables.flatMap((table) => this.#rows(table)));
    }

    get sql() {
        return this.statements.join(';\n');
    }

    /** Whatever has a name in the API. */
    get relations() {
        return [...this.tables, ...this.tables.flatMap((table) => table.leaves.filter((leaf) => leaf.name !== table.name)), ...this.views];
    }

    /** Tokens of all kinds of callers; undefined: nobody. */
    #callers() {
        const member = (claims) => sign({ role: 'member', exp: undefined, ...claims }, SECRET);
        const asNumber = (value) => (/^\d+$/.test(value) ? Number(value) : value);
        return [undefined, member({}), ...this.tenants.flatMap((value) => [member({ company_id: value, sub: 'a' }),
            member({ company_id: asNumber(value), sub: 'b' })])];
    }

    // ---- tables ----

    #table(index) {
        const { rng } = this;
        const kind = rng.pick(['plain', 'plain', 'plain', 'list', 'nested', 'inherited']);
        const table = { name: `t${index}`, kind, leaves: [], columns: [], added: 0 };
        table.key = kind === 'list' || kind === 'nested' ? ['company_id', 'id'] : rng.pick([['id'], ['id'], ['company_id', 'id'], ['id', 'company_id']]);
        table.columns.push({ name: 'id', type: rng.pick(['int', 'bigint']), notNull: true },
            { name: 'company_id', type: this.tenantType, notNull: true });
        for (let i = rng.between(1, 5); i > 0; i--) {
            table.columns.push({ name: `c${table.columns.length}`, type: rng.pick(Object.keys(TYPES)), notNull: rng.chance(0.3) });
        }
        if (rng.chance(0.4)) table.columns.push({ name: 'made', type: 'int', generated: '(id % 3)::integer' });
        if (rng.chance(0.3)) table.columns.push({ name: 'words', type: 'text', isSearch: true });
        this.#reference(table);
        return table;
    }

    #reference(table) {
        const targets = this.tables.filter((it) => it.kind === 'plain' && it.key.length === 1);
        if (!targets.length || this.rng.chance(0.3)) return;
        const to = this.rng.pick(targets);
        const type = to.columns.find(({ name }) => name === 'id').type;
        table.columns.push({ name: 'ref_id', type, isReference: true, values: Array.from({ length: IDS }, (_, i) => String(i + 1)) });
        table.reference = { to, rule: `ON DELETE ${this.rng.pick(['CASCADE', 'SET NULL', 'CASCADE'])} ON UPDATE CASCADE` };
    }

    /** What a policy's subquery reads. */
    #grants() {
        return { name: 'grants', kind: 'plain', key: ['who', 'company_id'], leaves: [], added: 0, isGrants: true,
            columns: [{ name: 'who', type: 'text', notNull: true, values: ['a', 'b'] }, { name: 'company_id', type: this.tenantType, notNull: true }] };
    }

    valuesOf(column) {
        if (column.name === 'company_id') return this.tenants;
        if (column.name === 'id') return Array.from({ length: IDS }, (_, i) => String(i + 1));
        return column.values ?? TYPES[column.type].values;
    }

    #columnSql(column) {
        const type = TYPES[column.type].sql;
        if (column.generated) return `${column.name} ${type} GENERATED ALWAYS AS (${column.generated}) STORED`;
        return `${column.name} ${type}${column.notNull ? ' NOT NULL' : ''}`;
    }

    #create(table) {
        const name = `api.${table.name}`;
        const columns = table.columns.map((column) => this.#columnSql(column)).join(', ');
        const by = { list: ' PARTITION BY LIST (company_id)', nested: ' PARTITION BY LIST (company_id)' }[table.kind] ?? '';
        const references = table.reference ? `, FOREIGN KEY (ref_id) REFERENCES api.${table.reference.to.name} ${table.reference.rule}` : '';
        const made = [`CREATE TABLE ${name} (${columns}, PRIMARY KEY (${table.key})${references})${by}`];
        made.push(...this.#leaves(table));
        for (const leaf of table.leaves) made.push(this.identity(leaf, this.rng.pick(['default', 'index', 'full'])));
        for (const column of table.columns) {
            if (TYPES[column.type].isToasted) made.push(`ALTER TABLE ${name} ALTER ${column.name} SET STORAGE EXTERNAL`);
            if (column.isSearch) {
                made.push(`ALTER TABLE ${name} ADD found tsvector GENERATED ALWAYS AS (to_tsvector('simple', coalesce(words, ''))) STORED`,
                    `CREATE INDEX ON ${name} USING gin (found)`);
            }
        }
        made.push(...this.policies(table));
        return made;
    }

    #leaves(table) {
        const leaf = (suffix, more) => {
            const made = { ...table, name: `${table.name}${suffix}`, leaves: [], of: table, ...more };
            table.leaves.push(made);
            return made.name;
        };
        if (table.kind === 'plain') {
            table.leaves = [table];
            return [];
        }
        if (table.kind === 'inherited') {
            table.leaves = [table];
            const name = leaf('_child', { ids: CHILD_IDS });
            return [`CREATE TABLE api.${name} (extra text, PRIMARY KEY (${table.key})) INHERITS (api.${table.name})`];
        }
        return this.tenants.flatMap((value, i) => {
            const bounds = i === 0 ? 'DEFAULT' : `FOR VALUES IN (${quote(value)})`;
            const of = `PARTITION OF api.${table.name} ${bounds}`;
            if (table.kind === 'list' || i !== 1) return [`CREATE TABLE api.${leaf(`_${i}`, { bounds })} ${of}`];
            const middle = `${table.name}_${i}`;
            const range = (suffix, from, to) => `CREATE TABLE api.${leaf(`_${i}${suffix}`)} PARTITION OF api.${middle} FOR VALUES FROM (${from}) TO (${to})`;
            return [`CREATE TABLE api.${middle} ${of} PARTITION BY RANGE (id)`, range('low', 'MINVALUE', 4), range('high', 4, 'MAXVALUE')];
        });
    }

    /** SQL that gives a leaf another replica identity. */
    identity(leaf, kind) {
        leaf.identity = kind;
        const alter = `ALTER TABLE api.${leaf.name} REPLICA IDENTITY`;
        if (kind === 'default') return `${alter} DEFAULT`;
        if (kind === 'full') return `${alter} FULL`;
        const second = this.rng.pick(leaf.columns.filter(({ notNull, type }) => notNull && !TYPES[type].isToasted));
        const columns = [...new Set(['company_id', leaf.isGrants ? 'who' : 'id', second.name])];
        const index = `i${leaf.name}_${this.rng.int(1e9)}`;
        return `CREATE UNIQUE INDEX ${index} ON api.${leaf.name} (${columns}); ${alter} USING INDEX ${index}`;
    }

    // ---- who sees what ----

    /** A table's row-level security, made anew. */
    policies(table) {
        const { rng, claim } = this;
        const on = `ON api.${table.name}`;
        const policy = (name, to, using, how = '') => `CREATE POLICY ${name} ${on}${how} TO ${to} USING (${using})`;
        if (table.isGrants || rng.chance(0.2)) return [];
        const own = rng.pick([`company_id = ${claim}`, `${claim} = company_id`, `company_id = (SELECT ${claim})`]);
        const column = rng.pick(table.columns);
        const value = quote(rng.pick(this.valuesOf(column)));
        // jsonb and the like have = as well; an array has none that reads alike, nor does a float's NaN matter.
        const some = `${column.name} = ${value}::${TYPES[column.type].sql.replace(' COLLATE api.folded', '')}`;
        const texts = table.columns.filter(({ type }) => type === 'text' || type === 'varchar');
        const forms = [
            () => [policy('own', 'member', own)],
            () => [policy('own', 'PUBLIC', own)],
            () => [policy('own', 'crew', own)],
            () => [policy('own', 'member', `${own} OR ${some}`)],
            () => [policy('own', 'member', `${own} AND ${some}`)],
            () => [policy('all_of_it', 'member', 'true'), policy('own', 'member', own, ' AS RESTRICTIVE')],
            () => [policy('all_of_it', 'member', 'true'), policy('own', 'viewer', own, ' AS RESTRICTIVE')],
            () => [policy('own', 'member', own), policy('more', 'member', some)],
            () => [policy('own', 'member', own), policy('more', 'crew', own), policy('none', 'viewer', 'false')],
            () => [policy('own', 'member', 'company_id = api.tenant()')],
            () => [policy('granted', 'member', `company_id IN (SELECT g.company_id FROM api.grants g WHERE g.who = (${CLAIMS} ->> 'sub'))`)],
            () => [policy('granted', 'member', `${own} AND EXISTS (SELECT FROM api.grants g WHERE g.company_id = ${table.name}.company_id)`)],
            () => [policy('mine', 'member', texts.length ? `${texts[0].name} = (${CLAIMS} ->> 'sub')` : own)],
            () => [policy('all_of_it', 'PUBLIC', 'true')],
        ];
        return [`ALTER TABLE api.${table.name} ENABLE ROW LEVEL SECURITY`, ...rng.pick(forms)(),
            ...rng.chance(0.6) ? [policy('seen', 'viewer', rng.pick(['true', some]))] : []];
    }

    #rights() {
        const { rng } = this;
        const names = this.relations.map(({ name }) => `api.${name}`);
        const part = rng.chance(0.2) ? this.rng.pick(this.tables) : undefined;
        return `GRANT SELECT ON ${names} TO viewer, member${part ? `; REVOKE SELECT ON api.${part.name} FROM viewer;
            GRANT SELECT (${part.columns.slice(0, 3).map(({ name }) => name)}) ON api.${part.name} TO viewer` : ''}`;
    }

    // ---- the rest ----

    #prelude() {
        return `CREATE SCHEMA api; GRANT USAGE ON SCHEMA api TO viewer, member;
            CREATE COLLATION api.folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
            CREATE TYPE api.mood AS ENUM ('sad', 'ok', 'happy');
            CREATE DOMAIN api.positive AS integer CHECK (VALUE > 0); CREATE DOMAIN api.word AS varchar(5);
            CREATE FUNCTION api.tenant() RETURNS ${TYPES[this.tenantType].sql} STABLE LANGUAGE sql AS $$ SELECT ${this.claim} $$;
            CREATE TABLE api.barrier (id integer PRIMARY KEY, n integer); INSERT INTO api.barrier VALUES (1, 0);
            GRANT SELECT, UPDATE ON api.barrier TO viewer, member`;
    }

    /** A change of an earlier table changes one row of a later one. */
    #triggers() {
        const mine = this.tables.filter(({ isGrants }) => !isGrants);
        return mine.slice(1).flatMap((to, i) => {
            const column = this.rng.pick(to.columns.filter(({ name, generated, isReference }) => name !== 'id' && !generated && !isReference));
            if (this.rng.chance(0.5)) return [];
            const value = quote(this.rng.pick(this.valuesOf(column)));
            return [`CREATE FUNCTION api.touch${i}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$ BEGIN
                    UPDATE api.${to.name} SET ${column.name} = ${value} WHERE id = COALESCE(NEW.id, OLD.id); RETURN NULL; END $$`,
            `CREATE TRIGGER touch AFTER INSERT OR UPDATE OR DELETE ON api.${mine[i].name} FOR EACH ROW EXECUTE FUNCTION api.touch${i}()`];
        });
    }

    #view() {
        const { rng } = this;
        const table = rng.pick(this.tables.filter(({ isGrants }) => !isGrants));
        const other = rng.pick(this.tables.filter(({ isGrants }) => !isGrants));
        const name = `v${this.views.length}`;
        const last = table.columns.at(-1);
        const plain = { name, kind: 'view', order: ['company_id', 'id'], columns: [table.columns[0], table.columns[1], ...last.name === 'id' ? [] : [last]] };
        const forms = [
            [plain, `SELECT ${[...new Set(['id', 'company_id', last.name])]} FROM api.${table.name}`],
            [plain, `SELECT ${[...new Set(['id', 'company_id', last.name])]} FROM ONLY api.${table.name} WHERE ${last.name} IS NOT NULL`],
            [{ ...plain, order: ['company_id', 'id', 'other'], columns: [...table.columns.slice(0, 2), { name: 'other', type: this.tenantType, values: this.tenants }] },
                `SELECT a.id, a.company_id, b.company_id AS other FROM api.${table.name} a LEFT JOIN api.${other.name} b ON b.id = a.id`],
            [{ ...plain, order: ['company_id'], columns: [table.columns[1], { name: 'n', type: 'bigint' }] },
                `SELECT company_id, count(*) AS n FROM api.${table.name} GROUP BY company_id`],
        ];
        const [view, text] = rng.pick(forms);
        this.views.push(view);
        this.statements.push(`CREATE VIEW api.${name}${rng.chance(0.4) ? ' WITH (security_invoker = true)' : ''} AS ${text}`);
    }

    /** A row's values by random; names of those that can be given. */
    row(table, id) {
        const columns = table.columns.filter(({ generated }) => !generated);
        const values = columns.map((column) => {
            if (column.name === 'id') return quote(id ?? this.rng.between(1, IDS) + (table.ids ?? 0));
            if (column.isReference) return this.rng.chance(0.3) ? 'NULL' : `(SELECT min(id) FROM api.${table.reference.to.name} WHERE id >= ${this.rng.between(1, IDS)})`;
            return this.rng.chance(0.15) && !column.notNull ? 'NULL' : quote(this.rng.pick(this.valuesOf(column)));
        });
        return { names: columns.map(({ name }) => name), values };
    }

    #rows(table) {
        const targets = table.kind === 'inherited' ? table.leaves : [table];
        return targets.flatMap((target) => Array.from({ length: IDS }, (_, i) => {
            const { names, values } = this.row(target, i + 1 + (target.ids ?? 0));
            return `INSERT INTO api.${target.name} (${names}) VALUES (${values}) ON CONFLICT DO NOTHING`;
        }));
    }
}
