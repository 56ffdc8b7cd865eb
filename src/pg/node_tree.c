/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of node trees.
 *
 * The one rule: strict. Labels and values take turns in a node, brackets close what they opened, a constant has
 * as many bytes as it says; whatever deviates is no tree, and the caller takes what it does not know for the
 * worst. Words that users choose (names of columns) cannot forge a label or a bracket: where a label may stand no
 * word may, and brackets and spaces inside a word are written with a backslash.
 *
 * A word is bytes up to a space or a bracket, and a backslash takes its next byte along as it is. The empty word
 * is written "", a word in a list of strings stands in quotes, which are part of it here.
 */
#include "pg/node_tree.h"

static const struct pg_tree nothing;

struct reader {
    struct hs_arena *arena;
    struct hs_str text;
    size_t at;
    unsigned depth;
};

static struct pg_tree *read_value(struct reader *r);

static bool is_space(char c)
{
    return c == ' ' || c == '\n' || c == '\t';
}

static bool ends_word(char c)
{
    return is_space(c) || c == '(' || c == ')' || c == '{' || c == '}';
}

/* The next byte that is no space; NUL at the end, which no tree holds. */
static char peek(struct reader *r)
{
    while (r->at < r->text.n && is_space(r->text.p[r->at]))
        r->at++;
    return r->at < r->text.n ? r->text.p[r->at] : '\0';
}

static bool take(struct reader *r, char c)
{
    if (peek(r) != c)
        return false;
    r->at++;
    return true;
}

/* A word as it is written; empty if there is none here. */
static struct hs_str raw_word(struct reader *r)
{
    size_t from;

    (void)peek(r);
    from = r->at;
    while (r->at < r->text.n && !ends_word(r->text.p[r->at]))
        r->at += r->text.p[r->at] == '\\' && r->at + 1 < r->text.n ? 2 : 1;
    return hs_str_sub(r->text, from, r->at);
}

static struct hs_str without_backslashes(struct hs_arena *arena, struct hs_str word)
{
    char *to;
    size_t n = 0;

    if (hs_str_find(word, '\\') == word.n)
        return word;
    to = hs_arena_alloc(arena, word.n);
    for (size_t i = 0; to && i < word.n; i++) {
        if (word.p[i] == '\\' && i + 1 < word.n)
            i++;
        to[n++] = word.p[i];
    }
    return hs_strn(to, n);
}

static struct pg_tree *new_tree(struct reader *r, enum pg_tree_kind kind, struct hs_str text)
{
    struct pg_tree *tree = HS_NEW(r->arena, struct pg_tree);

    if (tree) {
        tree->kind = kind;
        tree->text = text;
    }
    return tree;
}

/* "4 [ 1 0 0 0 ]": the bytes are signed. One of fixed length is written as the whole machine word it lies in. */
static struct pg_tree *read_datum(struct reader *r, struct hs_str length)
{
    uint64_t n = 0;
    size_t room;
    size_t bytes = 0;
    char *to;

    if (!hs_str_to_u64(length, &n) || n > r->text.n - r->at)
        return NULL;
    room = n > sizeof(uint64_t) ? n : sizeof(uint64_t);
    to = hs_arena_alloc(r->arena, room);
    r->at++;
    while (to && peek(r) != ']') {
        int64_t byte = 0;

        if (bytes == room || !hs_str_to_i64(raw_word(r), &byte) || byte < -128 || byte > 127)
            return NULL;
        to[bytes++] = (char)byte;
    }
    if (!to || !take(r, ']') || (bytes != n && bytes != room))
        return NULL;
    return new_tree(r, PG_TREE_DATUM, hs_strn(to, n));
}

static struct pg_tree *read_word(struct reader *r)
{
    struct hs_str word = raw_word(r);

    if (!word.n)
        return NULL;
    if (hs_str_is(word, "<>"))
        return new_tree(r, PG_TREE_NOTHING, HS_STR_NULL);
    if (word.p[0] >= '0' && word.p[0] <= '9' && peek(r) == '[')
        return read_datum(r, word);
    if (hs_str_is(word, "\"\""))
        return new_tree(r, PG_TREE_WORD, HS_STR(""));
    return new_tree(r, PG_TREE_WORD, without_backslashes(r->arena, word));
}

static struct pg_tree *read_node(struct reader *r)
{
    struct pg_tree *node = new_tree(r, PG_TREE_NODE, raw_word(r));
    const struct pg_tree **last = node ? &node->child : NULL;

    if (!node || !node->text.n)
        return NULL;
    while (!take(r, '}')) {
        struct hs_str label;
        struct pg_tree *value;

        if (!take(r, ':'))
            return NULL;
        label = raw_word(r);
        value = label.n ? read_value(r) : NULL;
        if (!value)
            return NULL;
        value->label = label;
        *last = value;
        last = &value->next;
    }
    return node;
}

/* "(i 1 2)", "(o ...)" and "(b ...)" hold numbers; in other lists words are in quotes, numbers or nodes. */
static struct hs_str list_letter(struct reader *r)
{
    char c = peek(r);

    if ((c == 'i' || c == 'o' || c == 'b') && r->at + 1 < r->text.n &&
        ends_word(r->text.p[r->at + 1]))
        return raw_word(r);
    return HS_STR("");
}

static struct pg_tree *read_list(struct reader *r)
{
    struct pg_tree *list = new_tree(r, PG_TREE_LIST, list_letter(r));
    const struct pg_tree **last = list ? &list->child : NULL;

    if (!list)
        return NULL;
    while (!take(r, ')')) {
        struct pg_tree *member = read_value(r);

        if (!member)
            return NULL;
        *last = member;
        last = &member->next;
    }
    return list;
}

static struct pg_tree *read_value(struct reader *r)
{
    struct pg_tree *tree;

    if (++r->depth > PG_TREE_DEPTH_MAX)
        return NULL;
    if (take(r, '{'))
        tree = read_node(r);
    else if (take(r, '('))
        tree = read_list(r);
    else
        tree = read_word(r);
    r->depth--;
    return tree;
}

const struct pg_tree *pg_tree_read(struct hs_arena *arena, struct hs_str text)
{
    struct reader r = {.arena = arena, .text = text};
    const struct pg_tree *tree = read_value(&r);

    (void)peek(&r);
    return tree && r.at == text.n && !hs_arena_failed(arena) ? tree : NULL;
}

const struct pg_tree *pg_tree_field(const struct pg_tree *node, const char *label)
{
    struct hs_str wanted = hs_str(label);

    if (node->kind != PG_TREE_NODE)
        return &nothing;
    for (const struct pg_tree *field = node->child; field; field = field->next) {
        if (hs_str_eq(field->label, wanted))
            return field;
    }
    return &nothing;
}

bool pg_tree_is(const struct pg_tree *node, const char *name)
{
    return node->kind == PG_TREE_NODE && hs_str_is(node->text, name);
}

uint32_t pg_tree_number(const struct pg_tree *word)
{
    uint64_t v = 0;

    if (word->kind != PG_TREE_WORD || !hs_str_to_u64(word->text, &v) || v > UINT32_MAX)
        return 0;
    return (uint32_t)v;
}

size_t pg_tree_count(const struct pg_tree *list)
{
    size_t n = 0;

    for (const struct pg_tree *member = list->child; member; member = member->next)
        n++;
    return n;
}

const struct pg_tree *pg_tree_at(const struct pg_tree *list, size_t n)
{
    const struct pg_tree *member = list->kind == PG_TREE_LIST ? list->child : NULL;

    while (member && n--)
        member = member->next;
    return member ? member : &nothing;
}

/* varatt.h: a little-endian length word in which the two low bits are clear, itself counted. */
bool pg_tree_const_text(const struct pg_tree *node, struct hs_str *ret_text)
{
    const struct pg_tree *value = pg_tree_field(node, "constvalue");
    const unsigned char *p = (const unsigned char *)value->text.p;
    uint32_t head;

    if (!pg_tree_is(node, "CONST") || value->kind != PG_TREE_DATUM || value->text.n < 4 ||
        !hs_str_is(pg_tree_field(node, "constlen")->text, "-1"))
        return false;
    head = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    if ((head & 3) || head >> 2 != value->text.n)
        return false;
    *ret_text = hs_str_sub(value->text, 4, value->text.n);
    return true;
}
