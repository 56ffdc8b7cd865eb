// SPDX-License-Identifier: Apache-2.0
// All that can be asked, derived from PostgreSQL's own catalog: each relation, column and foreign key, in every
// form that the two dialects have.

const REST = '/rest/v1';
const API = '/api/v1';
const SCHEMAS = ['api', 'iso'];

export const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
const quote = (value) => encodeURIComponent(`"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`);
const enc = encodeURIComponent;

/** Relations with columns and keys, and functions, of the served schemas, whoever may use them. */
export async function readCatalog(sql) {
    const relations = await sql(`
        SELECT n.nspname AS schema, c.relname AS name, c.relkind AS kind, c.relispartition AS "isPart",
            ARRAY(SELECT json_build_object('name', a.attname, 'type', format_type(a.atttypid, NULL), 'isGenerated', a.attgenerated <> '')
                  FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) AS columns,
            ARRAY(SELECT a.attname::text FROM pg_index i, unnest(i.indkey) WITH ORDINALITY AS k (n, at) JOIN pg_attribute a ON a.attnum = k.n
                  WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid ORDER BY k.at) AS key
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY ($1) AND c.relkind IN ('r', 'p', 'v', 'm') ORDER BY 1, 2`, [SCHEMAS]);
    const keys = await sql(`
        SELECT k.conname AS name, cn.nspname AS schema, c.relname AS "from", f.relname AS "to"
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace JOIN pg_class f ON f.oid = k.confrelid
        WHERE k.contype = 'f' AND cn.nspname = ANY ($1) AND NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = c.oid) ORDER BY 1`, [SCHEMAS]);
    const functions = await sql(`
        SELECT p.proname AS name, n.nspname AS schema, p.provolatile AS volatility, p.proretset AS "isSet", p.proargnames AS arguments,
            p.pronargs AS n, p.prosecdef AS "isDefiner", (SELECT t.typname FROM pg_type t WHERE t.oid = p.proargtypes[0] AND t.typtype = 'c') AS of
        FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY ($1) AND p.prorettype <> 'trigger'::regtype ORDER BY 1`, [SCHEMAS]);
    const named = (schema, name) => relations.find((r) => r.schema === schema && r.name === name);
    for (const relation of relations) {
        relation.out = keys.filter((k) => k.schema === relation.schema && k.from === relation.name).map((k) => ({ key: k.name, to: named(k.schema, k.to) }));
        relation.in = keys.filter((k) => k.schema === relation.schema && k.to === relation.name).map((k) => ({ key: k.name, to: named(k.schema, k.from) }));
        relation.functions = functions.filter((f) => f.schema === relation.schema && f.of === relation.name);
    }
    return { relations, functions: functions.filter((f) => !f.of), keys };
}

/** Values of rows of `tenant` in each column, as PostgreSQL writes them, for questions that aim at them. */
export async function readValues(sql, relation, tenant) {
    const from = `${relation.schema}.${relation.name}`;
    const rows = await sql(`SELECT ${relation.columns.map(({ name }) => `"${name}"::text`).join()} FROM ${from} t
        WHERE t::text ~ $1 ORDER BY t::text LIMIT 2`, [`${tenant.word}|\\m${tenant.digits}0\\d{5}\\M`]);
    return rows;
}

// These get every form for every column. The columns of the others take turns, so that each form and each
// column is asked for, but not each form of each column.
const THOROUGH = ['docs', 'clients'];
const TURN = 2;

/** `forms`, or as many of them as the turn `i` of their relation gives. */
const turns = (relation, i, forms) => (THOROUGH.includes(relation.name) || forms.length <= TURN ? forms
    : Array.from({ length: TURN }, (_, n) => forms[(i * TURN + n) % forms.length]));

/** Reads of one relation in the simple dialect; `shown` is what GET {api.path} says of it. */
function simpleReads(relation, shown) {
    const at = `${API}/${camel(relation.name)}`;
    const get = (query, headers) => ({ path: `${at}${query ? `?${query}` : ''}`, headers });
    const all = 'limit=200';
    const reads = [get(''), get(all), get(`${all}&count=exact`), get(`${all}&count=estimated`), get('limit=1'), get(`${all}&page=2&limit=2`.replace('limit=200&', '')),
        get('limit=all'), get('', { accept: 'text/csv' }), get('', { accept: 'application/x-ndjson' }), get(`${all}&nulls=omit`),
        get(all, { 'accept-encoding': 'gzip' }), { ...get(`${all}&count=exact`), method: 'HEAD' }, get(`search=qq&${all}`), get(`search=title or body or notes&${all}`)];
    relation.columns.forEach(({ name, type }, i) => {
        const column = camel(name);
        const forms = [get(`fields=${column}&${all}`), get(`sort=${column}&${all}`), get(`sort=-${column}&limit=3`), get(`${column}[null]=false&${all}&count=exact`)];
        if (/text|name/.test(type)) forms.unshift(get(`${column}[ilike]=*qq*&${all}&count=exact`), get(`${column}[gte]=q&${all}`), get(`search=body&fields=${column}`));
        if (/int|numeric/.test(type)) forms.unshift(get(`${column}[gte]=1&${all}&count=estimated`), get(`${column}[ne]=0&${all}`));
        reads.push(...turns(relation, i, forms));
    });
    const texts = relation.columns.filter(({ type }) => type === 'text').map(({ name }) => camel(name)).slice(0, 8).join(',');
    for (const words of ['body grows', 'notes', 'title or notes', '-nothing']) {
        reads.push(get(`search=${words}&highlight=${texts}&sort=-_rank&fields=${camel(relation.columns[0].name)},_rank&${all}`), get(`search=${words}&highlight=${texts}&count=exact&limit=2`));
    }
    reads.push(get(`search=body&highlight=${texts}&sort=-_rank`, { accept: 'application/x-ndjson' }));
    shown?.relations.forEach(({ name, relations = [] }, i) => {
        reads.push(get(`include=${name}&${all}`), ...turns(relation, i, [get(`include=${name}`, { accept: 'text/csv' }), get(`include=${name}`, { accept: 'application/x-ndjson' }),
            ...relations.map((next) => get(`include=${name}.${next.name}&${all}`))]));
    });
    return reads;
}

const PLANS = ['application/vnd.pgrst.plan', 'application/vnd.pgrst.plan+json; options=analyze|verbose|settings|buffers'];

/** Reads of one relation in PostgREST's dialect. */
function restReads(relation) {
    const profile = { 'accept-profile': relation.schema };
    const at = `${REST}/${relation.name}`;
    const get = (query, headers) => ({ path: `${at}${query ? `?${query}` : ''}`, headers: { ...profile, ...headers } });
    const reads = [get(''), get('select=*'), get('limit=1&offset=1'), get('', { range: '0-1', 'range-unit': 'items' }), get('', { accept: 'text/csv' }),
        get('limit=1', { accept: 'application/vnd.pgrst.object+json' }), get('', { accept: 'application/vnd.pgrst.object+json' }),
        get('', { accept: 'application/vnd.pgrst.array+json;nulls=stripped' }), get('', { 'accept-encoding': 'gzip' }), get('select=count()'), get('select=count'),
        ...['exact', 'planned', 'estimated'].flatMap((count) => [get('', { prefer: `count=${count}` }), { ...get('', { prefer: `count=${count}` }), method: 'HEAD' }]),
        ...PLANS.map((accept) => get('', { accept }))];
    relation.columns.forEach(({ name, type }, i) => {
        const forms = [get(`select=${name}`), get(`order=${name}.desc.nullslast&limit=3`), get(`${name}=not.is.null`, { prefer: 'count=exact' }), get(`select=${name}::text&order=${name}`)];
        if (/text|name/.test(type)) {
            forms.unshift(get(`${name}=ilike.*qq*`), get(`${name}=match.^qq`), get(`${name}=gte.q`), get(`${name}=fts(simple).qqbravo`), get(`select=${name}::int`), get(`select=${name}.max(),${name}.min()`),
                get(`or=(${name}.like.*qq*,${name}.is.null)`, { prefer: 'count=exact' }), get(`${name}=like(any).{*qq*,*a*}`, { accept: PLANS[1] }));
        }
        if (/int|numeric/.test(type)) forms.unshift(get(`${name}=gte.1`), get(`select=${name}.sum(),${name}.avg(),${name}.max()`), get(`select=${name},count()`), get(`not.and=(${name}.eq.0,${name}.lt.5)`));
        if (/json/.test(type)) forms.unshift(get(`select=${name}->>word,${name}->n`), get(`${name}->>word=like.qq*&order=${name}->n`), get(`select=(${name}->>word)::int`), get(`${name}=cs.{}`));
        if (/\[\]/.test(type)) forms.unshift(get(`${name}=ov.{qqalpha,qqbravo,qqpublic,71000002,72000002}`), get(`${name}=cd.{qqbravo,qqbravo1}`));
        if (type === 'tsvector') for (const op of ['fts', 'plfts', 'phfts', 'wfts']) forms.unshift(get(`${name}=${op}.body`), get(`${name}=${op}(english).grows&select=*`));
        reads.push(...turns(relation, i, forms));
    });
    [...relation.out, ...relation.in].forEach(({ key, to }, i) => {
        const hint = `${to.name}!${key}`;
        const forms = [get(`select=*,x:${hint}!inner(*)`), get(`select=*,x:${hint}(*)&x=is.null`), get(`select=*,x:${hint}(*)&x=not.is.null`, { prefer: 'count=exact' }),
            get(`select=*,...${hint}(y:${to.columns.at(-1).name})`), get(`select=*,${hint}(count())`), get(`select=*,x:${hint}(*)`, { accept: 'text/csv' }), get(`select=x:${hint}(*)&x.limit=1&x.order=${to.columns[0].name}.desc`),
            get(`select=*,${hint}(*)`, { accept: PLANS[0] }), { ...get(`select=${hint}!inner(*)`, { prefer: 'count=exact' }), method: 'HEAD' }, get(`select=*,${to.name}(*)`)];
        for (const next of [...to.out, ...to.in]) forms.push(get(`select=*,a:${hint}(*,b:${next.to.name}!${next.key}(*))`), get(`select=a:${hint}!inner(b:${next.to.name}!${next.key}!inner(*))`));
        for (const last of to.out) forms.push(get(`select=*,x:${hint}(*,z:${last.to.name}!${last.key}(*))&order=${relation.columns[0].name}&x.z.limit=2`));
        reads.push(get(`select=*,${hint}(*)`), ...turns(relation, i, forms));
    });
    relation.in.flatMap((over) => over.to.out.map((far) => [over, far])).forEach(([over, far], i) => {
        reads.push(...turns(relation, i, [get(`select=*,${far.to.name}!${over.to.name}(*)`), get(`select=*,${far.to.name}!${over.to.name}!inner(*)`)]).slice(0, relation.schema === 'iso' ? 2 : 1));
    });
    for (const { name } of relation.functions) {
        reads.push(get(`select=*,${name}`), get(`${name}=neq.0`), get(`order=${name}`), get(`select=*,${name}(*)`), get(`select=id,${name}!inner(*)`), get(`select=id&${name}=gte.0`, { prefer: 'count=exact' }));
    }
    return reads;
}

/** Calls of one function in PostgREST's dialect, by GET and POST. */
function calls(fn) {
    const at = `${REST}/rpc/${fn.name}`;
    const headers = { 'accept-profile': fn.schema, 'content-profile': fn.schema };
    const forms = [{ path: at, headers }, { path: at, method: 'HEAD', headers }, { path: at, method: 'POST', headers, body: {} }, { path: at, headers: { ...headers, prefer: 'count=exact' } },
        { path: at, headers: { ...headers, accept: 'text/csv' } }, { path: at, headers: { ...headers, accept: PLANS[0] } }];
    if (fn.isSet) forms.push({ path: `${at}?select=*&order=id.desc&limit=3`, headers }, { path: `${at}?title=like.qq*&select=title`, headers });
    for (const name of fn.n ? fn.arguments : []) {
        for (const value of ['', 'qq', 'qqbravo', '%']) forms.push({ path: `${at}?${name}=${enc(value)}`, headers }, { path: at, method: 'POST', headers, body: { [name]: value } });
    }
    return forms;
}

/** Whatever stands at no relation. */
function rest(queries) {
    const list = [{ path: API }, { path: '/' }, { path: `${REST}/` }, { path: `${REST}/`, headers: { 'accept-profile': 'iso' } }, { path: '/health' }, { path: '/metrics' }];
    for (const { path } of queries) {
        list.push({ path }, { path, method: 'POST', body: {} }, { path, method: 'HEAD' }, { path: `${path}?pattern=qq%25` }, { path: `${path}?id=70000001` }, { path: `${path}?q=notes` });
    }
    return list;
}

/** {relation.name: [request…]}, and under '' what belongs to none. */
export function readsOf(catalog, listed) {
    const reads = {};
    const tables = new Map(listed.data.map((table) => [table.name, table]));
    for (const table of listed.data) for (const relation of table.relations) relation.relations ??= tables.get(relation.table)?.relations ?? [];
    for (const relation of catalog.relations) {
        reads[`${relation.schema}.${relation.name}`] = [...simpleReads(relation, tables.get(camel(relation.name))), ...restReads(relation)];
    }
    reads[''] = [...rest(listed.queries ?? []), ...catalog.functions.flatMap(calls)];
    return reads;
}

/** Questions about one value of another's row; each is asked about a value that nobody has, too. */
export function aimedAt(relation, column, value) {
    const [simple, rested] = [`${API}/${camel(relation.name)}`, `${REST}/${relation.name}`];
    const name = camel(column.name);
    const headers = { 'accept-profile': relation.schema };
    // Which rows come first, where nothing says so, depends on estimates; these are made of all rows.
    const get = (path, more, from = relation) => ({ path: `${path}&order=${from.columns[0].name}`, headers: { ...headers, ...more } });
    const requests = ['', '[ne]', '[in]'].flatMap((op) => [{ path: `${simple}?${name}${op}=${op === '[in]' ? quote(value) : enc(value)}&count=exact&limit=200` }]);
    requests.push({ path: `${simple}?${name}=${enc(value)}`, headers: { accept: 'application/x-ndjson' } }, { path: `${simple}?${name}=${enc(value)}&count=estimated` },
        get(`${rested}?${column.name}=eq.${enc(value)}`, { prefer: 'count=exact' }), get(`${rested}?${column.name}=neq.${enc(value)}`), get(`${rested}?${column.name}=in.(${quote(value)})&select=${column.name}`),
        get(`${rested}?or=(${column.name}.eq.${quote(value)},${column.name}.is.null)`), get(`${rested}?${column.name}=isdistinct.${enc(value)}`, { prefer: 'count=exact' }),
        { ...get(`${rested}?${column.name}=eq.${enc(value)}`, { prefer: 'count=exact' }), method: 'HEAD' });
    if (/text|name/.test(column.type)) requests.push({ path: `${simple}?${name}[like]=${enc(value)}*` }, { path: `${simple}?search=${enc(value)}` }, get(`${rested}?${column.name}=like.${enc(value)}*`), get(`${rested}?${column.name}=wfts(simple).${enc(value)}`));
    if (relation.key.length === 1 && relation.key[0] === column.name) {
        requests.push({ path: `${simple}/${enc(value)}` }, { path: `${simple}/${enc(value)}`, method: 'HEAD' }, { path: `${simple}/${enc(value)}`, headers: { 'if-none-match': '*' } },
            { path: `${simple}/${enc(value)}?fields=${name}` }, get(`${rested}?${column.name}=eq.${enc(value)}`, { accept: 'application/vnd.pgrst.object+json' }));
    }
    for (const { key, to } of [...relation.in, ...relation.out]) {
        requests.push(get(`${REST}/${to.name}?select=*,x:${relation.name}!${key}(*)&x.${column.name}=eq.${enc(value)}`, {}, to), get(`${REST}/${to.name}?select=*,x:${relation.name}!${key}!inner(*)&x.${column.name}=eq.${enc(value)}`, { prefer: 'count=exact' }, to));
    }
    return requests;
}
