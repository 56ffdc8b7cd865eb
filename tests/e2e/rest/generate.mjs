// SPDX-License-Identifier: Apache-2.0
// Random requests of the PostgREST dialect, made from the names in a catalog: mostly right ones, with at
// most one thing wrong in the others, because which of two errors is told first is nobody's promise.
//
// Where rows or embedded rows are ordered at all, they are on every level and down to the key, so that
// one answer is right.

const CATALOG = `
SELECT c.relname AS name, c.relkind = 'r' AS is_table,
    (SELECT json_agg(json_build_object('name', a.attname, 'type', t.typname, 'generated', a.attgenerated <> '' OR a.attidentity = 'a') ORDER BY a.attnum)
     FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
    coalesce((SELECT json_agg(a.attname ORDER BY k.n) FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k(attnum, n), pg_attribute a
     WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = c.oid AND a.attnum = k.attnum), '[]') AS key
FROM pg_class c WHERE c.relnamespace = 'museum'::regnamespace AND c.relkind IN ('r', 'v', 'm')
ORDER BY 1`;
const KEYS = `
SELECT conname AS name, conrelid::regclass::text AS child, confrelid::regclass::text AS parent, cardinality(conkey) AS width,
    (SELECT attname FROM pg_attribute WHERE attrelid = conrelid AND attnum = conkey[1]) AS column,
    EXISTS (SELECT FROM pg_index i WHERE i.indrelid = conrelid AND i.indisunique AND i.indnkeyatts = 1 AND i.indkey[0] = conkey[1]) AS single
FROM pg_constraint WHERE contype = 'f' AND connamespace = 'museum'::regnamespace ORDER BY 1`;

// Not asked: the odd names (their quoting has cases of its own), what may not be read, the big one.
const LEFT_OUT = new Set(['Odd Names', 'hidden', 'dropbox', 'partly', 'big', 'shouts', 'keyless', 'loans_v', 'logs', 'notes']);

// Relationships that are no foreign key: through a junction, or computed. [from, to, name, hint, to one]
const FURTHER = [
    ['works', 'exhibitions', 'exhibitions', '!exhibits', false], ['exhibitions', 'works', 'works', '!exhibits', false],
    ['guides', 'tours', 'tours', '!guide_tours', false], ['tours', 'guides', 'guides', '!tour_backups', false],
    ['artists', 'artists', 'mentor', '', true], ['artists', 'artists', 'pupils', '', false],
    ['artists', 'works', 'first_work', '', true], ['works', 'institutions', 'lenders', '', false],
];

const bare = (name) => name.replace(/^museum\./, '').replaceAll('"', '');

/** The names that requests are made of: {tables, find(name), edges(name)}. */
export async function readNames(pg) {
    const tables = (await pg.sql(CATALOG)).filter(({ name }) => !LEFT_OUT.has(name));
    const keys = (await pg.sql(KEYS)).map((key) => ({ ...key, child: bare(key.child), parent: bare(key.parent) }));
    for (const table of tables) {
        if (!table.key.length) table.key = table.columns.some(({ name }) => name === 'id') ? ['id'] : [table.columns[0].name];
    }
    const byName = new Map(tables.map((table) => [table.name, table]));
    const edges = new Map(tables.map(({ name }) => [name, []]));
    for (const { name, child, parent, single } of keys) {
        if (!byName.has(child) || !byName.has(parent) || child === parent) continue;
        edges.get(child).push({ target: parent, name: parent, hint: `!${name}`, toOne: true });
        edges.get(parent).push({ target: child, name: child, hint: `!${name}`, toOne: single });
    }
    for (const [from, target, name, hint, toOne] of FURTHER) edges.get(from).push({ target, name, hint, toOne });
    return { tables, find: (name) => byName.get(name), edges: (name) => edges.get(name) };
}

const WORDS = ['cat', 'fat', 'a', 'The Cat 8', 'Stone, cut 3', 'Quo"ted 4', 'per%25cent 5', 'Bo', 'x', '', 'NULL', 'Zoë* 7', '(b)', 'a.b', 'ann', '\\'];
const NUMBERS = ['0', '1', '2', '3', '5', '8', '12', '24', '-1', '99'];

/** Per type: values that fit, operators, and a value that does not fit. */
const TYPES = {
    int4: { values: NUMBERS, ops: ['eq', 'neq', 'gt', 'gte', 'lt', 'lte', 'in', 'isdistinct', 'is', 'any'], wrong: 'x' },
    int2: { values: NUMBERS, ops: ['eq', 'gt', 'lt', 'in', 'is'], wrong: '1.5' },
    int8: { values: [...NUMBERS, '9007199254740993'], ops: ['eq', 'gt', 'lt', 'in', 'is'], wrong: '' },
    numeric: { values: [...NUMBERS, '12.25', '20.50'], ops: ['eq', 'neq', 'gt', 'lte', 'in', 'is', 'any'], wrong: '1,5' },
    float8: { values: [...NUMBERS, '1.25', 'NaN'], ops: ['eq', 'gt', 'lte', 'is'], wrong: 'dear' },
    text: { values: WORDS, ops: ['eq', 'neq', 'gt', 'like', 'ilike', 'match', 'in', 'is', 'any', 'likeany'] },
    bpchar: { values: ['SE', 'DK', 'IT', 'x'], ops: ['eq', 'neq', 'in', 'is'] },
    bool: { values: ['true', 'false', 't', '0'], ops: ['eq', 'is', 'istrue'], wrong: 'perhaps' },
    date: { values: ['2026-03-01', '1921-03-04', 'infinity'], ops: ['eq', 'gt', 'lte', 'is'], wrong: 'soon' },
    timestamptz: { values: ['2026-01-01T07:00:00.5Z', '2026-01-03'], ops: ['eq', 'gt', 'lt', 'is'], wrong: 'never' },
    kind: { values: ['painting', 'drawing', 'sculpture'], ops: ['eq', 'neq', 'gt', 'in', 'is'], wrong: 'opera' },
    percent: { values: ['3', '9', '100'], ops: ['eq', 'gt', 'in'], wrong: 'much' },
    uuid: { values: ['00000000-0000-4000-8000-000000000004'], ops: ['eq', 'neq', 'in'], wrong: 'zz' },
    jsonb: { values: ['{"n":5}', '5', '"red"', '[]'], ops: ['eq', 'cs', 'cd', 'is'], wrong: '{' },
    _text: { values: ['{odd}', '{t1,"even, yes"}', '{}'], ops: ['eq', 'cs', 'cd', 'ov'], wrong: 'odd' },
    _int4: { values: ['{1,2}', '{3}', '{}'], ops: ['eq', 'cs', 'ov', 'is'], wrong: '{x}' },
    int4range: { values: ['[1,5)', '(3,9]', 'empty'], ops: ['eq', 'cs', 'cd', 'ov', 'sl', 'sr', 'nxl', 'nxr', 'adj'], wrong: '5' },
    daterange: { values: ['[2026-01-05,2026-01-08)'], ops: ['ov', 'cs', 'adj', 'sl'], wrong: 'week' },
    tsvector: { values: ['cat', 'fat', 'boat'], ops: ['fts', 'plfts', 'phfts', 'wfts'], wrong: undefined },
    email: { values: ['ann@example.org'], ops: ['eq', 'like', 'is'] },
};
const OTHER = { values: ['x'], ops: ['is'] };

const quote = (value) => `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`;
const needsQuotes = (value) => value === '' || /[",().\\:{}[\] ]/.test(value);
const item = (value) => needsQuotes(value) ? quote(value) : value;

/** `op.value` for one column; inTree: values are quoted where a tree would end at them. */
function comparison(chance, column, { inTree = false, wrong = false } = {}) {
    const type = TYPES[column.type] ?? OTHER;
    const op = chance.pick(type.ops);
    const value = wrong && type.wrong !== undefined && !/like|match|^is|fts/.test(op) ? type.wrong : chance.pick(type.values);
    const plain = inTree ? item(value) : value;
    const not = chance.chance(0.15) ? 'not.' : '';
    const some = () => chance.shuffle([value, ...chance.shuffle(type.values)]).slice(0, 3);
    switch (op) {
    case 'is': return `${not}is.null`;
    case 'istrue': return `${not}is.${chance.pick(['true', 'false', 'unknown'])}`;
    case 'in': return `${not}in.(${some().map(item).join(',')})`;
    case 'any': return `${not}${chance.pick(['eq', 'gt', 'lte'])}(${chance.pick(['any', 'all'])}).{${some().map(item).join(',')}}`;
    case 'likeany': return `${not}${chance.pick(['like', 'ilike'])}(${chance.pick(['any', 'all'])}).{*a*,*1*}`;
    case 'like': case 'ilike': return `${not}${op}.${inTree ? quote(`*${chance.pick(['a', 'Cat', '1', 'e'])}*`) : `*${chance.pick(['a', 'Cat', '1', 'e'])}*`}`;
    case 'match': return `${not}match.${chance.pick(['^A', '1$', 'a'])}`;
    case 'fts': case 'plfts': case 'phfts': case 'wfts': return `${not}${op}${chance.pick(['', '(english)', '(simple)'])}.${plain}`;
    default: return `${not}${op}.${plain}`;
    }
}

const pathOf = (chance, column) => /^json/.test(column.type) && chance.chance(0.5)
    ? `${column.name}${chance.pick(['->n', '->>n', '->owner->>name', '->0', '->owner->tel->>1'])}` : column.name;

function tree(chance, table, depth) {
    const parts = Array.from({ length: chance.between(1, 3) }, () => depth > 0 && chance.chance(0.3)
        ? `${chance.chance(0.3) ? 'not.' : ''}${chance.pick(['and', 'or'])}${tree(chance, table, depth - 1)}`
        : ((column) => `${column.name}.${comparison(chance, column, { inTree: true })}`)(chance.pick(table.columns)));
    return `(${parts.join(',')})`;
}

class Query {
    constructor(chance, names, ordered) {
        Object.assign(this, { chance, names, ordered, parameters: [], spoilt: false, trees: true, aliases: 0 });
    }

    /** At most once, and seldom: here something is wrong. */
    spoil(p) {
        if (this.spoilt || !this.chance.chance(p)) return false;
        this.spoilt = true;
        return true;
    }

    field(column) {
        const { chance } = this;
        if (this.spoil(0.01)) return 'nosuch';
        const source = pathOf(chance, column);
        const alias = chance.chance(0.12) ? `f${this.aliases++}:` : '';
        return `${alias}${source}${chance.chance(0.06) ? '::text' : ''}`;
    }

    /** The parameters that filter and order `table`, whose path in the query is `prefix`. */
    conditions(table, prefix, { paged }) {
        const { chance } = this;
        for (let i = chance.pick([0, 0, 1, 1, 2]); i > 0; i--) {
            const column = chance.pick(table.columns);
            this.parameters.push([`${prefix}${pathOf(chance, { ...column, type: column.type === 'jsonb' ? 'jsonb' : 'x' })}`,
                comparison(chance, column, { wrong: this.spoil(0.03) })]);
        }
        if (this.trees && chance.chance(0.15)) {
            this.parameters.push([`${prefix}${chance.chance(0.25) ? 'not.' : ''}${chance.pick(['and', 'or'])}`, tree(chance, table, 2)]);
        }
        if (!this.ordered) return;
        const sortable = table.columns.filter(({ type }) => TYPES[type] && !/json|tsvector/.test(type));
        const first = chance.chance(0.5) && sortable.length ? [`${chance.pick(sortable).name}${chance.pick(['', '.desc', '.nullsfirst', '.desc.nullslast'])}`] : [];
        this.parameters.push([`${prefix}order`, [...first, ...table.key].join(',')]);
        if (paged && chance.chance(0.25)) this.parameters.push([`${prefix}limit`, String(chance.int(5))]);
        if (paged && chance.chance(0.12)) this.parameters.push([`${prefix}offset`, String(chance.int(3))]);
    }

    embed(table, prefix, depth) {
        const { chance, names } = this;
        const edge = chance.pick(names.edges(table.name));
        const target = names.find(edge.target);
        const spread = edge.toOne && chance.chance(0.2);
        const alias = spread ? edge.name : `e${this.aliases++}`;
        const inner = chance.chance(0.2) ? '!inner' : '';
        const hint = edge.hint && this.spoil(0.02) ? '!nosuch' : edge.hint;
        this.conditions(target, `${prefix}${alias}.`, { paged: !edge.toOne });
        const items = this.items(target, `${prefix}${alias}.`, depth - 1, spread);
        if (!spread && chance.chance(0.1)) this.parameters.push([`${prefix}${alias}`, chance.pick(['is.null', 'not.is.null'])]);
        if (!spread && edge.toOne) this.orderBy(target, prefix, alias, items);
        return `${spread ? '...' : `${alias}:`}${edge.name}${hint}${inner}(${items})`;
    }

    /** Now and then: what holds the embed is ordered first by a column of it that is selected as it is. */
    orderBy(target, prefix, alias, items) {
        const order = this.parameters.find(([name]) => name === `${prefix}order`);
        const shown = target.columns.filter(({ name, type }) => items.split(',').includes(name) && TYPES[type] && !/json|tsvector/.test(type));
        if (!order || !shown.length || !this.chance.chance(0.3)) return;
        order[1] = `${alias}(${this.chance.pick(shown).name})${this.chance.pick(['', '.desc', '.desc.nullslast'])},${order[1]}`;
    }

    /** The items of select for `table`; in a spread every one gets an alias, since names must not meet. */
    items(table, prefix, depth, spread) {
        const { chance } = this;
        const columns = chance.shuffle(table.columns).slice(0, chance.between(1, 4));
        const items = !spread && chance.chance(0.25) ? ['*']
            : columns.map((column) => spread ? `s${this.aliases++}:${column.name}` : this.field(column));
        if (depth > 0 && this.names.edges(table.name).length && chance.chance(0.5)) items.push(this.embed(table, prefix, depth));
        return items.join(',');
    }

    get text() {
        return this.parameters.map(([name, value]) => `${name}=${encode(value)}`).join('&');
    }
}

/** As a client does; a percent sign in a pool is encoded already. */
const encode = (value) => value.replaceAll('&', '%26').replaceAll('#', '%23').replaceAll('+', '%2B');

function read(chance, names) {
    const table = chance.pick(names.tables);
    const query = new Query(chance, names, chance.chance(0.9));
    const options = {};
    query.parameters.push(['select', query.items(table, '', 3, false)]);
    query.conditions(table, '', { paged: true });
    if (chance.chance(0.15)) options.prefer = 'count=exact';
    if (query.ordered && chance.chance(0.08)) options.headers = { range: `${chance.int(3)}-${chance.pick(['', '3', '7'])}` };
    if (chance.chance(0.04)) options.accept = chance.pick(['text/csv', 'application/vnd.pgrst.object+json', 'application/vnd.pgrst.array+json;nulls=stripped']);
    return [`${chance.chance(0.03) ? 'HEAD' : 'GET'} /${table.name}?${query.text}`, options];
}

function aggregate(chance, names) {
    const table = chance.pick(names.tables.filter(({ is_table: isTable }) => isTable));
    const numbers = table.columns.filter(({ type }) => /^(int|numeric|float)\d*$/.test(type));
    const groups = chance.shuffle(table.columns.filter(({ type }) => /^(int4|text|bool|kind)$/.test(type))).slice(0, chance.int(3)).map(({ name }) => name);
    const aggregates = ['n:count()', ...numbers.slice(0, chance.int(3)).map(({ name }, i) => `a${i}:${name}.${chance.pick(['sum', 'min', 'max', 'count'])}()`)];
    const order = groups.length ? `&order=${groups.join(',')}` : '';
    return [`GET /${table.name}?select=${[...groups, ...aggregates].join(',')}${order}`, {}];
}

const WRITTEN = {
    tickets: { id: [1, 2, 40, 41], holder: ['ann', 'new', 'o\'er', null], price: [0, 1.50, -1, '7', 'dear'], paid: [true, null], note: ['n', null], mail: ['a@b', 'ab'], nosuch: [1] },
    prefs: { owner: ['ann', 'zed'], key: ['colour', 'k'], value: [null, 1, { a: [1] }, 'text'], hits: [0, 7] },
    exhibitions: { id: [1, 60, 61], name: ['Now', null], opens: ['2026-07-01', 'soon'], budget: [1e3, null] },
};

function body(chance, columns) {
    const keys = chance.shuffle(Object.keys(columns)).filter((key) => key !== 'nosuch' || chance.chance(0.1)).slice(0, chance.between(1, 5));
    return () => Object.fromEntries(keys.map((key) => [key, chance.pick(columns[key])]));
}

function write(chance, names) {
    const name = chance.pick(Object.keys(WRITTEN));
    const [table, columns] = [names.find(name), WRITTEN[name]];
    const make = body(chance, columns);
    const query = new Query(chance, names, true);
    query.spoilt = true;        // what is wrong is in the body
    query.trees = false;        // 12.0.2 applies those of an embed to the table that is written
    const options = { prefer: [chance.pick(['return=representation', 'return=representation', 'return=minimal', 'return=headers-only'])] };
    const isShown = options.prefer[0] === 'return=representation';
    if (chance.chance(0.4)) query.parameters.push(['select', query.items(table, '', isShown ? 1 : 0, false)]);
    if (chance.chance(0.2)) options.prefer.push('count=exact');
    const method = chance.pick(['POST', 'POST', 'PATCH', 'DELETE']);
    if (method !== 'POST') query.conditions(table, '', { paged: false });
    if (method !== 'DELETE') options.body = chance.chance(0.3) && method === 'POST' ? [make()] : make();
    if (method === 'POST' && chance.chance(0.4)) options.prefer.push(`resolution=${chance.pick(['merge', 'ignore'])}-duplicates`);
    if (method !== 'DELETE' && chance.chance(0.2)) options.prefer.push('missing=default');
    return [`${method} /${name}?${query.text}`, options];
}

const CALLS = [
    ['add', { a: [1, '2', null, 'x'], b: [3, 4] }], ['greet', { name: ['you', '', 'a"b'], mark: ['?'] }], ['squares', { n: [0, 1, 4] }],
    ['works_of', { artist: [1, 2, 99] }], ['all_works', {}], ['over', { a: [1], b: [2] }], ['plus_one', { arr: ['{1,2}', '{}'] }], ['names', {}],
    ['takes_date', { d: ['2026-01-02', 'soon'], p: [5, 101] }], ['outs', { a: [1, 2] }],
];

function call(chance) {
    const [name, args] = chance.pick(CALLS);
    const given = Object.fromEntries(Object.entries(args).filter(() => chance.chance(0.85)).map(([key, values]) => [key, chance.pick(values)]));
    if (chance.chance(0.4)) return [`POST /rpc/${name}`, { body: given }];
    const text = Object.entries(given).map(([key, value]) => `${key}=${value}`);
    if (/works/.test(name)) text.push(`select=id,title,artists(name)`, `order=id`, `limit=${chance.int(4)}`);
    return [`GET /rpc/${name}?${text.join('&')}`, {}];
}

/** One request: [name, 'METHOD /path', undefined, options], as rest/differential.mjs takes it. */
export function generate(chance, names) {
    const make = chance.pick([read, read, read, read, read, aggregate, write, call]);
    const [request, options] = make(chance, names);
    return [make.name, request, undefined, options];
}

export function generateRead(chance, names) {
    const [request, options] = read(chance, names);
    return [read.name, request, undefined, options];
}

const NOISE = [...'().,:!*"\\->{}=&1 a', 'not.', 'and', '..', '()', '->>', '::', '%22', 'eq.', 'null', '!inner'];

/** The same request with one piece of its query taken out, doubled or put in. */
export function distort(chance, row) {
    const [name, request, , options] = row;
    const at = request.indexOf('?');
    if (at < 0) return row;
    const where = chance.between(at + 1, request.length);
    const [head, tail] = [request.slice(0, where), request.slice(where)];
    const changed = chance.pick([head + tail.slice(1), head + chance.pick(NOISE) + tail, head + tail.slice(0, 1) + tail]);
    return [`distorted ${name}`, changed, undefined, options];
}
