/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The names are hashes already; they are hashed again, with the process's key, so that nobody chooses places.
 *
 * Nothing is ever taken out alone: what has expired goes when room is needed, all at once, and the table is made
 * anew.
 */
#include "edge/logout.h"

#include "core/hash.h"
#include "core/mem.h"

enum { CAP_FIRST = 64 };

void edge_logout_init(struct edge_logout *list, size_t tokens_max)
{
    *list = (struct edge_logout){.max = tokens_max};
}

void edge_logout_fini(struct edge_logout *list)
{
    hs_free(list->entries);
    hs_free(list->slots);
    *list = (struct edge_logout){.max = list->max};
}

/* Where it is, or would be put. */
static size_t place(const struct edge_logout *list, const unsigned char *id)
{
    size_t mask = 2 * list->cap - 1;
    size_t at = (size_t)hs_hash(hs_strn((const char *)id, EDGE_JWT_ID)) & mask;

    while (list->slots[at] && memcmp(list->entries[list->slots[at] - 1].id, id, EDGE_JWT_ID) != 0)
        at = (at + 1) & mask;
    return at;
}

bool edge_logout_has(const struct edge_logout *list, const unsigned char id[static EDGE_JWT_ID])
{
    return list->n && list->slots[place(list, id)];
}

static void put(struct edge_logout *list, const struct edge_logout_entry *entry)
{
    size_t at = place(list, entry->id);

    if (list->slots[at]) {
        if (list->entries[list->slots[at] - 1].ends_us < entry->ends_us)
            list->entries[list->slots[at] - 1].ends_us = entry->ends_us;
        return;
    }
    list->entries[list->n] = *entry;
    list->slots[at] = (uint32_t)++list->n;
}

/* Into tables of that size, without what has expired. */
static hs_status remake(struct edge_logout *list, size_t cap, struct hs_wall now,
                        struct hs_err *reterr)
{
    struct edge_logout next = {.cap = cap, .max = list->max};

    next.entries = hs_calloc(cap, sizeof(*next.entries));
    next.slots = hs_calloc(2 * cap, sizeof(*next.slots));
    if (!next.entries || !next.slots) {
        edge_logout_fini(&next);
        return hs_fail_memory(reterr);
    }
    for (size_t i = 0; i < list->n; i++) {
        if (list->entries[i].ends_us > now.us)
            put(&next, &list->entries[i]);
    }
    edge_logout_fini(list);
    *list = next;
    return HS_OK;
}

static size_t count_alive(const struct edge_logout *list, struct hs_wall now)
{
    size_t n = 0;

    for (size_t i = 0; i < list->n; i++)
        n += list->entries[i].ends_us > now.us;
    return n;
}

hs_status edge_logout_add(struct edge_logout *list, const struct edge_logout_entry *entry,
                          struct hs_wall now, struct hs_err *reterr)
{
    bool is_known = edge_logout_has(list, entry->id);
    hs_status status = HS_OK;

    if (entry->ends_us <= now.us)
        return HS_OK;
    if (!is_known && (list->n == list->cap || list->n >= list->max)) {
        size_t alive = count_alive(list, now);
        size_t cap = list->cap ? list->cap : CAP_FIRST;

        if (alive >= list->max) {
            (void)hs_fail(reterr, HS_E_LIMIT, "the list of logged-out tokens is full");
            hs_err_why(reterr, "It holds %zu tokens (auth.logout.max), none of them expired.",
                       alive);
            return HS_E_LIMIT;
        }
        /* Room for a while, or the next one would count them all again. */
        while (cap < alive + alive / 2 + 1)
            cap *= 2;
        status = remake(list, cap, now, reterr);
    }
    if (!status)
        put(list, entry);
    return status;
}

/* ---- the file ---- */

static const struct hs_str BEFORE_ID = {"{\"id\":\"", 7};
static const struct hs_str BEFORE_EXP = {"\",\"exp\":", 8};

void edge_logout_print(const struct edge_logout_entry *entry, struct hs_buf *out)
{
    hs_buf_add(out, BEFORE_ID);
    for (size_t i = 0; i < EDGE_JWT_ID; i++)
        hs_buf_printf(out, "%02x", entry->id[i]);
    hs_buf_add(out, BEFORE_EXP);
    if (entry->ends_us == INT64_MAX)
        hs_buf_add_lit(out, "null");
    else /* up, so that a token does not come back in its last second */
        hs_buf_add_i64(out, entry->ends_us / 1000000 + 1);
    hs_buf_add_lit(out, "}\n");
}

static bool take(struct hs_str *rest, struct hs_str text)
{
    if (!hs_str_starts(*rest, text))
        return false;
    *rest = hs_str_sub(*rest, text.n, rest->n);
    return true;
}

bool edge_logout_parse(struct hs_str line, struct edge_logout_entry *ret_entry)
{
    struct hs_str rest = line;
    int64_t seconds;

    if (!take(&rest, BEFORE_ID) || rest.n < 2 * EDGE_JWT_ID)
        return false;
    for (size_t i = 0; i < EDGE_JWT_ID; i++) {
        int high = hs_hex_digit(rest.p[2 * i]);
        int low = hs_hex_digit(rest.p[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        ret_entry->id[i] = (unsigned char)(high << 4 | low);
    }
    rest = hs_str_sub(rest, 2 * EDGE_JWT_ID, rest.n);
    if (!take(&rest, BEFORE_EXP) || rest.n < 2 || rest.p[rest.n - 1] != '}')
        return false;
    rest = hs_str_sub(rest, 0, rest.n - 1);
    ret_entry->ends_us = INT64_MAX;
    if (hs_str_is(rest, "null"))
        return true;
    if (!hs_str_to_i64(rest, &seconds) || seconds > INT64_MAX / 1000000 || seconds < 0)
        return false;
    ret_entry->ends_us = seconds * 1000000;
    return true;
}
