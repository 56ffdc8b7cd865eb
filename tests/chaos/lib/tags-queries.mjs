// SPDX-License-Identifier: Apache-2.0
// Random questions of a random schema, as URLs of the simple dialect.

import { TYPES } from './tags-schema.mjs';

const OPERATORS = ['', '', '', '', '[eq]', '[eq]', '[ne]', '[gt]', '[gte]', '[lt]', '[lte]', '[in]', '[in]', '[in]', '[like]', '[ilike]', '[null]'];
const raw = encodeURIComponent;
const element = (value) => (/[",]|^$/.test(value) ? `"${value.replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"` : value);

/** A value of a column as somebody may write it. */
function someValue(rng, schema, column) {
    return rng.chance(0.2) && !column.values && column.name !== 'company_id'
        ? rng.pick([...TYPES[column.type].asked, ...TYPES[column.type].values]) : rng.pick(schema.valuesOf(column));
}

function filter(rng, schema, relation) {
    // The columns that policies and keys are made of are what narrow tags are made of.
    const column = rng.chance(0.3) ? relation.columns.find(({ name }) => name === rng.pick(['id', 'company_id'])) ?? relation.columns[0] : rng.pick(relation.columns);
    const operator = rng.pick(OPERATORS);
    let value = someValue(rng, schema, column);
    if (operator === '[null]') value = rng.pick(['true', 'false']);
    if (operator === '[in]') value = Array.from({ length: rng.between(1, 4) }, () => element(someValue(rng, schema, column))).join(',');
    if (operator.includes('like')) value = rng.pick(['a%', '*', '%b', value]);
    return `${column.name}${operator}=${raw(value)}`;
}

function sortOf(rng, relation) {
    const sortable = relation.columns.filter(({ name }) => name !== 'words');
    const some = rng.chance(0.4) ? [rng.pick(sortable).name] : [];
    const keys = relation.order ?? (rng.chance(0.5) ? relation.key : []);
    const names = [...new Set([...some, ...keys])].map((name) => (rng.chance(0.4) ? `-${name}` : name));
    return names.length ? [`sort=${names}`] : [];
}

function includes(rng, schema, relation) {
    const own = relation.of ?? relation;
    const list = [];
    if (own.reference && rng.chance(0.4)) list.push('ref');
    for (const table of schema.tables) {
        if (table.reference?.to === own && rng.chance(0.4)) list.push(table.name);
    }
    return list.length ? [`include=${list}`] : [];
}

function listQuery(rng, schema, relation) {
    const parts = Array.from({ length: rng.int(4) }, () => filter(rng, schema, relation));
    parts.push(...sortOf(rng, relation), ...includes(rng, schema, relation));
    if (rng.chance(0.5)) parts.push(`limit=${rng.between(1, 4)}`);
    if (rng.chance(0.15)) parts.push(`page=${rng.between(1, 3)}`);
    if (rng.chance(0.2)) parts.push(`fields=${rng.shuffle(relation.columns).slice(0, 2).map(({ name }) => name)}`);
    if (rng.chance(0.2)) parts.push(`count=${rng.pick(['exact', 'exact', 'estimated'])}`);
    if (rng.chance(0.1)) parts.push('nulls=omit');
    if (rng.chance(0.1)) parts.push('order=desc');
    if (relation.columns.some(({ isSearch }) => isSearch) && rng.chance(0.4)) parts.push(`search=${rng.pick(['a', 'b', 'x or say', '-a'])}`);
    const names = parts.map((part) => part.split('=')[0]);
    return `${relation.name}?${rng.shuffle(parts.filter((part, i) => names.indexOf(names[i]) === i || names[i].includes('['))).join('&')}`;
}

function itemQuery(rng, schema, relation) {
    const values = relation.key.map((name) => {
        const column = relation.columns.find((it) => it.name === name);
        if (name === 'id') return String(rng.between(1, 8) + (relation.ids ?? 0));
        return element(someValue(rng, schema, column));
    });
    const parts = includes(rng, schema, relation);
    if (rng.chance(0.2)) parts.push(`fields=${rng.shuffle(relation.columns).slice(0, 2).map(({ name }) => name)}`);
    return `${relation.name}/${values.length === 1 ? raw(values[0]) : raw(values.join(','))}${parts.length ? `?${parts}` : ''}`;
}

/** {path, caller}: the caller's number among schema.callers. */
export function randomQuery(rng, schema) {
    const relation = rng.pick(schema.relations);
    const path = relation.key && rng.chance(0.2) ? itemQuery(rng, schema, relation) : listQuery(rng, schema, relation);
    return { path, caller: rng.int(schema.callers.length) };
}
