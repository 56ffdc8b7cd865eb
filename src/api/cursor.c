/* SPDX-License-Identifier: Apache-2.0 */
/*
 * base64url( version, flags, values ..., mac ), where a value is its length in two bytes and its bytes
 * (0xffff and nothing = NULL), and mac is HMAC-SHA-256 over binding and content, cut to 16 bytes:
 * forging one takes 2^128 tries, and a cursor stays short enough for a URL.
 *
 *     binding   "schema"."table" NUL order NUL filters, each text with its length before it
 *
 * The rule: nothing of a cursor is looked at before its mac is right, and two trees have one binding only
 * if they have the same rows in the same order. Filters are sorted, since their order in a URL means
 * nothing. It refuses every text that is not exactly what cursor_write() made.
 *
 * Source: RFC 2104, section 5 (truncation); RFC 4648, section 5.
 */
#include "api/cursor.h"

#include <stdlib.h>

enum {
    CURSOR_VERSION = 1,
    CURSOR_BACKWARD = 1,
    MAC_BYTES = 16,
    NULL_LENGTH = 0xffff,
    TEXT_MAX = (2 + CURSOR_BYTES_MAX + MAC_BYTES + 2) / 3 * 4
};

/* ---- binding ---- */

/* Bytes with a bound that is counted first: written twice, the first time with to == NULL. */
struct bytes {
    char *to;
    size_t n;
};

static void add(struct bytes *b, const void *p, size_t n)
{
    if (b->to && n)
        memcpy(b->to + b->n, p, n);
    b->n += n;
}

static void add_number(struct bytes *b, uint64_t v)
{
    unsigned char le[8];

    for (size_t i = 0; i < sizeof(le); i++)
        le[i] = (unsigned char)(v >> (8 * i));
    add(b, le, sizeof(le));
}

static void add_text(struct bytes *b, struct hs_str s)
{
    add_number(b, s.n);
    add(b, s.p, s.n);
}

/* Depth is that of the tree, which its dialect bounds. */
static void add_node(struct bytes *b, const struct tree_node *node)
{
    add_number(b, (uint64_t)node->kind);
    if (node->kind == TREE_COMPARE) {
        add_number(b, (uint64_t)node->op);
        add_text(b, node->column->name);
        add_text(b, node->value);
        add_text(b, node->config);
        return;
    }
    for (const struct tree_node *child = node->first; child; child = child->next)
        add_node(b, child);
    add_number(b, UINT64_MAX);
}

static struct hs_str node_text(const struct tree_node *node, struct hs_arena *arena)
{
    struct bytes b = {0};
    char *to;

    add_node(&b, node);
    to = hs_arena_alloc(arena, b.n);
    if (!to)
        return HS_STR_NULL;
    b = (struct bytes){.to = to};
    add_node(&b, node);
    return hs_strn(to, b.n);
}

static int compare_texts(const void *a, const void *b)
{
    return hs_str_cmp(*(const struct hs_str *)a, *(const struct hs_str *)b);
}

/* The filters of the tree, in an order of their own. */
static bool sorted_filters(const struct tree_node *where, struct hs_arena *arena,
                           struct hs_str **ret_texts, size_t *ret_n)
{
    bool is_and = where && where->kind == TREE_AND;
    const struct tree_node *first = is_and ? where->first : where;
    size_t n = 0;

    for (const struct tree_node *node = first; node; node = is_and ? node->next : NULL)
        n++;
    *ret_texts = HS_NEW_ARRAY(arena, n + 1, struct hs_str);
    *ret_n = 0;
    if (!*ret_texts)
        return false;
    for (const struct tree_node *node = first; node; node = is_and ? node->next : NULL)
        (*ret_texts)[(*ret_n)++] = node_text(node, arena);
    if (hs_arena_failed(arena))
        return false;
    qsort(*ret_texts, n, sizeof(**ret_texts), compare_texts);
    return true;
}

static void add_tree(struct bytes *b, const struct tree_select *tree, const struct hs_str *filters,
                     size_t n_filters)
{
    add_text(b, tree->relation->quoted);
    add_number(b, tree->n_order);
    for (size_t i = 0; i < tree->n_order; i++) {
        add_text(b, tree->order[i].column->name);
        add_number(b, tree->order[i].is_desc);
    }
    add_number(b, n_filters);
    for (size_t i = 0; i < n_filters; i++)
        add_text(b, filters[i]);
}

hs_status cursor_binding(const struct tree_select *tree, struct hs_arena *arena,
                         struct hs_str *ret_binding, struct hs_err *reterr)
{
    struct bytes b = {0};
    struct hs_str *filters;
    size_t n_filters;
    char *to;

    if (!sorted_filters(tree->where, arena, &filters, &n_filters))
        return hs_fail_memory(reterr);
    add_tree(&b, tree, filters, n_filters);
    to = hs_arena_alloc(arena, b.n);
    if (!to)
        return hs_fail_memory(reterr);
    b = (struct bytes){.to = to};
    add_tree(&b, tree, filters, n_filters);
    *ret_binding = hs_strn(to, b.n);
    return HS_OK;
}

/* ---- writing ---- */

/* The mac of binding and content; both are put together in the arena. */
static bool make_mac(struct net_hmac *hmac, struct hs_str binding, struct hs_str content,
                     struct hs_arena *arena, unsigned char ret_mac[static NET_SHA256])
{
    char *both = hs_arena_alloc(arena, binding.n + content.n);

    if (!both)
        return false;
    memcpy(both, binding.p, binding.n);
    memcpy(both + binding.n, content.p, content.n);
    return net_hmac_sha256(hmac, hs_strn(both, binding.n + content.n), ret_mac);
}

static size_t write_content(unsigned char *to, bool is_backward, const struct hs_str *values,
                            size_t n_values)
{
    size_t n = 0;

    to[n++] = CURSOR_VERSION;
    to[n++] = is_backward ? CURSOR_BACKWARD : 0;
    for (size_t i = 0; i < n_values; i++) {
        size_t length = values[i].p ? values[i].n : NULL_LENGTH;

        to[n++] = (unsigned char)(length >> 8);
        to[n++] = (unsigned char)(length & 0xff);
        if (values[i].p && values[i].n) {
            memcpy(to + n, values[i].p, values[i].n);
            n += values[i].n;
        }
    }
    return n;
}

hs_status cursor_write(struct net_hmac *hmac, struct hs_str binding, bool is_backward,
                       const struct hs_str *values, size_t n_values, struct hs_arena *arena,
                       struct hs_buf *out, struct hs_err *reterr)
{
    unsigned char content[2 + CURSOR_BYTES_MAX + MAC_BYTES];
    unsigned char mac[NET_SHA256];
    size_t most = 0;
    size_t n;

    for (size_t i = 0; i < n_values; i++) {
        most += 2 + values[i].n;
        if (most > CURSOR_BYTES_MAX) {
            (void)hs_fail(reterr, HS_E_BAD_PARAMETER,
                          "the values that the rows are sorted by are too long for a cursor");
            hs_err_why(reterr, "A cursor holds at most %d bytes of them.", CURSOR_BYTES_MAX);
            hs_err_hint(reterr, "Sort by columns with shorter values.");
            return HS_E_BAD_PARAMETER;
        }
    }
    n = write_content(content, is_backward, values, n_values);
    if (!make_mac(hmac, binding, hs_strn((char *)content, n), arena, mac))
        return hs_fail_memory(reterr);
    memcpy(content + n, mac, MAC_BYTES);
    net_base64url(out, hs_strn((char *)content, n + MAC_BYTES));
    return HS_OK;
}

/* ---- reading ---- */

static hs_status fail_cursor(struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_BAD_CURSOR, "the cursor does not belong to this list");
    hs_err_why(reterr,
               "It was made for another table, sort, filter or search, with another key, or was "
               "changed.");
    return HS_E_BAD_CURSOR;
}

/* The mac was right, so this fails only if the table has changed since. */
static bool read_values(struct hs_str content, size_t n_values, struct hs_arena *arena,
                        struct tree_position *position)
{
    const unsigned char *p = (const unsigned char *)content.p;
    size_t at = 2;

    position->is_backward = p[1] & CURSOR_BACKWARD;
    for (size_t i = 0; i < n_values; i++) {
        size_t length;

        if (content.n - at < 2)
            return false;
        length = (size_t)p[at] << 8 | p[at + 1];
        at += 2;
        if (length == NULL_LENGTH)
            continue;
        if (content.n - at < length)
            return false;
        position->values[i] = hs_arena_dup(arena, hs_strn(content.p + at, length));
        at += length;
    }
    return at == content.n;
}

hs_status cursor_read(struct net_hmac *hmac, struct hs_str binding, struct hs_str text,
                      size_t n_values, struct hs_arena *arena,
                      const struct tree_position **ret_position, struct hs_err *reterr)
{
    unsigned char bytes[TEXT_MAX];
    unsigned char mac[NET_SHA256];
    struct tree_position *position = HS_NEW(arena, struct tree_position);
    struct hs_str content;
    size_t n;

    if (!position)
        return hs_fail_memory(reterr);
    if (text.n > TEXT_MAX || !net_base64url_decode(text, bytes, &n) || n < 2 + MAC_BYTES)
        return fail_cursor(reterr);
    content = hs_strn((char *)bytes, n - MAC_BYTES);
    if (!make_mac(hmac, binding, content, arena, mac))
        return hs_fail_memory(reterr);
    if (!hs_str_eq_secret(hs_strn((char *)mac, MAC_BYTES),
                          hs_strn((char *)bytes + content.n, MAC_BYTES)))
        return fail_cursor(reterr);
    position->values = HS_NEW_ARRAY(arena, n_values + 1, struct hs_str);
    position->params = HS_NEW_ARRAY(arena, n_values + 1, unsigned);
    if (!position->values || !position->params)
        return hs_fail_memory(reterr);
    if (bytes[0] != CURSOR_VERSION || !read_values(content, n_values, arena, position))
        return fail_cursor(reterr);
    *ret_position = position;
    return hs_arena_failed(arena) ? hs_fail_memory(reterr) : HS_OK;
}
