// SPDX-License-Identifier: Apache-2.0
// The database of the coherence runs: schema chaos, its tenants, and the questions whose answers are known from a
// tenant's content. Each row carries a version of its own, so that a text tells which state it is of.
//
//   items_d, items_i, items_f   alike but for the replica identity: DEFAULT, USING INDEX (company_id, id), FULL
//   children     of items_i, ON DELETE CASCADE
//   parts        partitioned by list (region): a changed region moves the row to another leaf
//   audit        one row per tenant, counted up by a trigger of items_d
//   memos        of the first tenants only, so that TRUNCATE and REVOKE concern few; so does leaf parts_z
//   boards       a view of items_i and tenants
//   ballast      for large transactions; nobody reads it

export const TENANTS = 24;
export const SLOTS = 12;            // ids of a tenant's own in each table; rows may move to another tenant
export const MEMO_TENANTS = 3;      // the tenants that have memos, and parts in region z
export const REGIONS = ['a', 'b', 'c', 'z'];
export const STATUSES = ['open', 'done', 'held'];
export const BIG = 2100;            // bytes of a text that is kept out of line (TOAST)
const LIMIT = 100;

const ITEM = ['id', 'companyId', 'status', 'n', 'ver', 'note'];
export const TABLES = {
    d: { name: 'items_d', path: 'itemsD', columns: ITEM },
    i: { name: 'items_i', path: 'itemsI', columns: ITEM },
    f: { name: 'items_f', path: 'itemsF', columns: ITEM },
    children: { name: 'children', path: 'children', columns: ['id', 'itemId', 'companyId', 'n', 'ver'] },
    parts: { name: 'parts', path: 'parts', columns: ['id', 'region', 'companyId', 'n', 'ver'] },
    memos: { name: 'memos', path: 'memos', columns: ['id', 'companyId', 'ver'] },
    tenants: { name: 'tenants', path: 'tenants', columns: ['id', 'name', 'ver'] },
    audit: { name: 'audit', path: 'audit', columns: ['companyId', 'writes'] },
};
export const snake = (name) => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
const keyOf = (row) => row.id ?? row.companyId;

const CLAIM = "(SELECT (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'company_id')::bigint)";
const items = (name) => `
    CREATE TABLE chaos.${name} (id bigint PRIMARY KEY, company_id bigint NOT NULL, status text NOT NULL, n integer NOT NULL,
        ver bigint NOT NULL, note text NOT NULL);
    ALTER TABLE chaos.${name} ALTER note SET STORAGE EXTERNAL;
    CREATE UNIQUE INDEX ${name}_company ON chaos.${name} (company_id, id);`;

export const SCHEMA = `
    CREATE ROLE authenticator LOGIN NOINHERIT;
    CREATE ROLE viewer;
    CREATE ROLE member;
    GRANT viewer, member TO authenticator;
    CREATE SCHEMA chaos;
    CREATE TABLE chaos.tenants (id bigint PRIMARY KEY, name text NOT NULL, ver bigint NOT NULL);
    ${['items_d', 'items_i', 'items_f'].map(items).join('')}
    ALTER TABLE chaos.items_i REPLICA IDENTITY USING INDEX items_i_company;
    ALTER TABLE chaos.items_f REPLICA IDENTITY FULL;
    CREATE TABLE chaos.children (id bigint PRIMARY KEY, item_id bigint NOT NULL REFERENCES chaos.items_i ON DELETE CASCADE,
        company_id bigint NOT NULL, n integer NOT NULL, ver bigint NOT NULL);
    CREATE INDEX ON chaos.children (item_id);
    CREATE TABLE chaos.parts (id bigint, region text, company_id bigint NOT NULL, n integer NOT NULL, ver bigint NOT NULL,
        PRIMARY KEY (id, region)) PARTITION BY LIST (region);
    ${REGIONS.map((region) => `CREATE TABLE chaos.parts_${region} PARTITION OF chaos.parts FOR VALUES IN ('${region}');`).join('\n    ')}
    CREATE TABLE chaos.memos (id bigint PRIMARY KEY, company_id bigint NOT NULL, ver bigint NOT NULL);
    CREATE TABLE chaos.audit (company_id bigint PRIMARY KEY, writes bigint NOT NULL);
    CREATE TABLE chaos.ballast (id bigint PRIMARY KEY, company_id bigint NOT NULL, ver bigint NOT NULL);
    CREATE FUNCTION chaos.count_up() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
    BEGIN
        IF TG_OP <> 'INSERT' THEN
            UPDATE chaos.audit SET writes = writes + 1 WHERE company_id = OLD.company_id;
        END IF;
        IF TG_OP = 'INSERT' OR TG_OP = 'UPDATE' AND NEW.company_id <> OLD.company_id THEN
            UPDATE chaos.audit SET writes = writes + 1 WHERE company_id = NEW.company_id;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER count_up AFTER INSERT OR UPDATE OR DELETE ON chaos.items_d FOR EACH ROW EXECUTE FUNCTION chaos.count_up();
    CREATE VIEW chaos.boards WITH (security_invoker = true) AS
        SELECT i.id, i.company_id, i.status, i.ver, t.name, t.ver AS tenant_ver
        FROM chaos.items_i i JOIN chaos.tenants t ON t.id = i.company_id;
    DO $do$
    DECLARE
        t text;
        own text;
    BEGIN
        FOREACH t IN ARRAY '{tenants,items_d,items_i,items_f,children,parts,memos,audit,ballast}'::text[] LOOP
            own := CASE t WHEN 'tenants' THEN 'id' ELSE 'company_id' END || $own$ = ${CLAIM}$own$;
            EXECUTE format('ALTER TABLE chaos.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', t);
            EXECUTE format('CREATE POLICY own ON chaos.%I TO member USING (%s) WITH CHECK (%s)', t, own, own);
            EXECUTE format('CREATE POLICY every ON chaos.%I FOR SELECT TO viewer USING (true)', t);
        END LOOP;
    END $do$;
    GRANT USAGE ON SCHEMA chaos TO viewer, member;
    GRANT SELECT ON ALL TABLES IN SCHEMA chaos TO viewer, member;
    GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA chaos TO member;
    REVOKE INSERT, UPDATE, DELETE ON chaos.audit, chaos.boards FROM member;`;

/** What the tables hold in the beginning. */
export const fill = (ballast) => `
    INSERT INTO chaos.tenants SELECT t, 'tenant ' || t, 0 FROM generate_series(1, ${TENANTS}) t;
    INSERT INTO chaos.audit SELECT t, 0 FROM generate_series(1, ${TENANTS}) t;
    ${['items_d', 'items_i', 'items_f'].map((name) => `
    INSERT INTO chaos.${name} SELECT t * 100 + s, t, (ARRAY['open', 'done', 'held'])[1 + s % 3], s, 0, 'note ' || s
        FROM generate_series(1, ${TENANTS}) t, generate_series(1, ${SLOTS / 2}) s;`).join('')}
    INSERT INTO chaos.children SELECT t * 100 + s, t * 100 + 1 + s % 3, t, s, 0
        FROM generate_series(1, ${TENANTS}) t, generate_series(1, ${SLOTS / 2}) s;
    INSERT INTO chaos.parts SELECT t * 100 + s, (ARRAY['a', 'b', 'c'])[1 + s % 3], t, s, 0
        FROM generate_series(1, ${TENANTS}) t, generate_series(1, ${SLOTS / 2}) s;
    INSERT INTO chaos.ballast SELECT i, 0, 0 FROM generate_series(1, ${ballast}) i;
    ANALYZE;`;

/** A row that knows its own text; `values` are in the order of the table's columns. */
export function makeRow(table, values) {
    const row = Object.freeze({ ...values });
    const text = JSON.stringify(Object.fromEntries(TABLES[table].columns.map((column) => [column, row[column]])));
    const at = text.indexOf(',"note":');
    return { row, key: keyOf(row), text, brief: at < 0 ? text : `${text.slice(0, at)}}` };
}

const sorted = (rows) => [...rows.values()].sort((a, b) => a.key - b.key);
const page = (texts, extra = '') =>
    `{"data":[${texts.join(',')}],"pagination":{"page":1,"limit":${LIMIT}${extra},"nextCursor":null,"prevCursor":null}}`;
const list = (entries) => page(entries.map(({ brief }) => brief));
const one = (rows, id) => (rows.has(id) ? `{"data":${rows.get(id).text}}` : '404');

/** The columns that are shown of every list of items: without the text that may be big. */
const BRIEF = `fields=id,companyId,status,n,ver&limit=${LIMIT}`;

function boards({ i, tenants }) {
    const [{ row: tenant }] = tenants.values();
    return page(sorted(i).map(({ row }) => JSON.stringify({
        id: row.id, companyId: row.companyId, status: row.status, ver: row.ver, name: tenant.name, tenantVer: tenant.ver,
    })));
}

function withChildren({ i, children }) {
    const all = sorted(children);
    return page(sorted(i).map(({ key, brief }) =>
        `${brief.slice(0, -1)},"children":[${all.filter(({ row }) => row.itemId === key).map(({ text }) => text).join(', ')}]}`));
}

/**
 * The questions of one tenant: {index, path, tables, render, weight, anonymous}. `index` is the same for the same
 * kind of question, for all tenants. A text of '403' or '404' stands for that status.
 */
export function questionsOf(tenant) {
    const questions = [];
    const ask = (weight, path, tables, render, anonymous = false) =>
        questions.push({ index: questions.length, path: `/api/v1/${path}`, tables, render, weight, anonymous });
    for (const table of ['d', 'i', 'f']) {
        const { path } = TABLES[table];
        const some = (test) => (content) => list(sorted(content[table]).filter(({ row }) => test(row)));
        ask(16, `${path}?${BRIEF}`, [table], some(() => true));
        ask(12, `${path}?status=open&${BRIEF}`, [table], some((row) => row.status === 'open'));
        ask(4, `${path}?status[in]=done,held&${BRIEF}`, [table], some((row) => row.status !== 'open'));
        ask(2, `${path}?n[gte]=6&${BRIEF}`, [table], some((row) => row.n >= 6));
        ask(2, `${path}?note=${bigText(tenant)}&${BRIEF}`, [table], some((row) => row.note === bigText(tenant)));
        ask(2, `${path}?fields=id&count=exact&limit=${LIMIT}`, [table],
            (content) => page(sorted(content[table]).map(({ key }) => `{"id":${key}}`),
                `,"total":${content[table].size},"pages":${Math.ceil(content[table].size / LIMIT)}`));
        ask(4, `${path}?companyId=${tenant}&${BRIEF}`, [table], some(() => true), true);
        const next = tenant % TENANTS + 1;
        for (let slot = 1; slot <= SLOTS; slot++) {
            ask(1, `${path}/${tenant * 100 + slot}`, [table], (content) => one(content[table], tenant * 100 + slot));
        }
        for (let slot = 1; slot <= 3; slot++) {
            ask(1, `${path}/${next * 100 + slot}`, [table], (content) => one(content[table], next * 100 + slot));
        }
    }
    ask(4, `boards?sort=id&limit=${LIMIT}`, ['i', 'tenants'], boards);
    ask(4, `itemsI?include=children&${BRIEF}`, ['i', 'children'], withChildren);
    ask(2, `children?limit=${LIMIT}`, ['children'], ({ children }) => list(sorted(children)));
    ask(4, `parts?limit=${LIMIT}`, ['parts'], ({ parts }) => list(sorted(parts)));
    for (const region of REGIONS) {
        ask(2, `parts?region=${region}&limit=${LIMIT}`, ['parts'],
            ({ parts }) => list(sorted(parts).filter(({ row }) => row.region === region)));
    }
    ask(2, `audit?limit=${LIMIT}`, ['audit'], ({ audit }) => list(sorted(audit)));
    ask(2, `tenants/${tenant}`, ['tenants'], ({ tenants }) => one(tenants, tenant));
    // Columns are named, so that PostgreSQL is asked also where hasten does not know yet that it may read again.
    if (tenant <= MEMO_TENANTS) {
        ask(8, `memos?fields=id,companyId,ver&limit=${LIMIT}`, ['memos', 'isDenied'],
            ({ memos, isDenied }) => (isDenied ? '403' : list(sorted(memos))));
    }
    return questions;
}

/** The big text of a tenant: always the same, so that there is a question for it. */
export function bigText(tenant) {
    return `big${tenant}x`.padEnd(BIG, 'y');
}

/** The ids of the tenants whose rows a text shows. */
export function ownersOf(text) {
    return [...new Set([...text.matchAll(/"companyId":(\d+)/g)].map(([, id]) => `tenant ${id}`))];
}

/** What the database holds, read in one snapshot: [content of tenant 1, ...]. */
export async function readContents(client) {
    await client.query('BEGIN ISOLATION LEVEL REPEATABLE READ');
    const contents = Array.from({ length: TENANTS }, () => Object.fromEntries(Object.keys(TABLES).map((table) => [table, new Map()])));
    for (const [table, { name, columns }] of Object.entries(TABLES)) {
        const { rows } = await client.query(`SELECT ${columns.map((column) => `${snake(column)} AS "${column}"`).join(', ')} FROM chaos.${name}`);
        for (const values of rows) {
            for (const column of columns) {
                if (/^(id|ver|writes|itemId|companyId)$/.test(column)) values[column] = Number(values[column]);
            }
            const entry = makeRow(table, values);
            contents[(table === 'tenants' ? values.id : values.companyId) - 1][table].set(entry.key, entry);
        }
    }
    const { rows: [{ denied }] } = await client.query("SELECT NOT has_table_privilege('member', 'chaos.memos', 'SELECT') AS denied");
    contents.forEach((content, i) => { content.isDenied = denied && i < MEMO_TENANTS; });
    await client.query('COMMIT');
    return contents;
}

/** Do two contents of a tenant hold the same rows? */
export function isSame(a, b) {
    return a.isDenied === b.isDenied && Object.keys(TABLES).every((table) => a[table] === b[table] || a[table].size === b[table].size &&
        [...a[table].values()].every(({ key, text }) => b[table].get(key)?.text === text));
}
