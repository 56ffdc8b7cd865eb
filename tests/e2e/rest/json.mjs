// SPDX-License-Identifier: Apache-2.0
// JSON compared as values, exactly: numbers by their digits (1.50 is not 1.5), the keys of an object in
// their order and with their doubles, white space and the spelling of characters not at all.

/** Text of JSON as {type, ...}: objects keep `pairs`, numbers their text. Throws where it is no JSON. */
function parse(text) {
    let at = 0;
    const space = () => { while (/[\s]/.test(text[at] ?? '')) at++; };
    const string = () => {
        const start = at++;
        while (text[at] !== '"') {
            if (at >= text.length) throw new SyntaxError('text ends inside a string');
            at += text[at] === '\\' ? 2 : 1;
        }
        return JSON.parse(text.slice(start, ++at));
    };
    const list = (close, item) => {
        const items = [];
        at++;
        space();
        while (text[at] !== close) {
            items.push(item());
            space();
            if (text[at] === ',') { at++; space(); } else if (text[at] !== close) throw new SyntaxError(`"${text[at]}" at ${at}`);
        }
        at++;
        return items;
    };
    const value = () => {
        space();
        if (text[at] === '"') return { text: JSON.stringify(string()) };
        if (text[at] === '[') return { items: list(']', value) };
        if (text[at] === '{') {
            return { pairs: list('}', () => {
                const key = string();
                space();
                if (text[at++] !== ':') throw new SyntaxError(`no colon at ${at - 1}`);
                return [key, value()];
            }) };
        }
        const [word] = /^(?:true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)/.exec(text.slice(at, at + 400)) ?? [];
        if (word === undefined) throw new SyntaxError(`"${text.slice(at, at + 20)}" at ${at}`);
        at += word.length;
        return { text: word };
    };
    const result = value();
    space();
    if (at < text.length) throw new SyntaxError(`more after the end, at ${at}`);
    return result;
}

/**
 * One spelling for equal JSON. Arrays of objects, whose order nobody asked for, are sorted: `unordered` the
 * outermost, `unorderedInside` those inside of it. `keys` sorts the keys of all objects.
 */
export function canonical(text, { unordered = false, unorderedInside = false, keys = false } = {}) {
    const write = (node, sorted) => {
        if (node.items) {
            const items = node.items.map((item) => write(item, unorderedInside));
            if (sorted && node.items.every((item) => item.pairs)) items.sort();
            return `[${items.join(',')}]`;
        }
        if (!node.pairs) return node.text;
        const pairs = node.pairs.map(([key, value]) => `${JSON.stringify(key)}:${write(value, unorderedInside)}`);
        return `{${(keys ? pairs.sort() : pairs).join(',')}}`;
    };
    return write(parse(text), unordered);
}
