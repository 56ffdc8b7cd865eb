/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of pgoutput's messages: one function per message, all over one cursor whose failure is sticky.
 *
 * The one rule: nothing of a message is believed before its last byte was read, and it must be the last. So a
 * message either tells all that it says or is refused whole, and the feed begins anew.
 *
 * Order is part of the protocol: rows come between Begin and Commit, transactions in the order of their
 * commit records. A stream that breaks it is refused as well, since stamps rest on it.
 *
 * It refuses values in binary form (they are never asked for) and streamed or prepared transactions (protocol
 * versions 2 and 3).
 */
#include "pg/pgoutput.h"

#include "core/guard.h"
#include "core/mem.h"

enum {
    /* PostgreSQL's own bound of a table (MaxHeapAttributeNumber). */
    COLUMNS_MAX = 1600,
    /* A stream that describes more tables is refused: each holds memory until it ends. */
    RELATIONS_MAX = 1 << 16,
    FLAG_IDENTITY = 1,
    FLAG_TRANSACTIONAL = 1
};

/* A described table; its columns and their names stand behind it, in the same block. */
struct relation {
    struct hs_change_table table;
    struct hs_change_column columns[];
};

struct pgoutput {
    struct relation **relations; /* by oid */
    size_t n_relations;
    size_t cap_relations;
    uint32_t *truncated;
    size_t cap_truncated;
    bool is_open;       /* between Begin and Commit */
    uint64_t final_lsn; /* of the open transaction */
    uint64_t ended;     /* Commit.end_lsn of the last one */
    struct hs_change_value old[COLUMNS_MAX];
    struct hs_change_value new[COLUMNS_MAX];
};

struct cursor {
    const unsigned char *p;
    const unsigned char *end;
    bool failed;
};

/* ---- the cursor ---- */

static const unsigned char *take(struct cursor *c, size_t n)
{
    const unsigned char *p = c->p;

    if (c->failed || (size_t)(c->end - c->p) < n) {
        c->failed = true;
        return NULL;
    }
    c->p += n;
    return p;
}

/* Big-endian; 0 after a failure. */
static uint64_t take_number(struct cursor *c, size_t n)
{
    const unsigned char *p = take(c, n);
    uint64_t v = 0;

    for (size_t i = 0; p && i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static uint8_t take_u8(struct cursor *c)
{
    return (uint8_t)take_number(c, 1);
}

static uint16_t take_u16(struct cursor *c)
{
    return (uint16_t)take_number(c, 2);
}

static uint32_t take_u32(struct cursor *c)
{
    return (uint32_t)take_number(c, 4);
}

static uint64_t take_u64(struct cursor *c)
{
    return take_number(c, 8);
}

static struct hs_str take_bytes(struct cursor *c, size_t n)
{
    const unsigned char *p = take(c, n);

    return p ? hs_strn((const char *)p, n) : HS_STR("");
}

/* Without its NUL. */
static struct hs_str take_string(struct cursor *c)
{
    const unsigned char *nul = c->failed || c->p == c->end
                                   ? NULL
                                   : memchr(c->p, 0, (size_t)(c->end - c->p));
    struct hs_str s;

    if (!nul) {
        c->failed = true;
        return HS_STR("");
    }
    s = take_bytes(c, (size_t)(nul - c->p));
    (void)take(c, 1);
    return s;
}

static bool is_whole(const struct cursor *c)
{
    return !c->failed && c->p == c->end;
}

static hs_status refuse(struct hs_err *reterr, const char *why)
{
    (void)hs_fail(reterr, HS_E_PG_ERROR,
                  "PostgreSQL's change stream is not as its protocol has it");
    hs_err_why(reterr, "%s", why);
    return HS_E_PG_ERROR;
}

/* ---- life ---- */

struct pgoutput *pgoutput_new(void)
{
    return hs_calloc(1, sizeof(struct pgoutput));
}

void pgoutput_reset(struct pgoutput *reader)
{
    for (size_t i = 0; i < reader->n_relations; i++)
        hs_free(reader->relations[i]);
    reader->n_relations = 0;
    reader->is_open = false;
    reader->ended = 0;
}

void pgoutput_free(struct pgoutput *reader)
{
    if (!reader)
        return;
    pgoutput_reset(reader);
    hs_free(reader->relations);
    hs_free(reader->truncated);
    hs_free(reader);
}

/* ---- relations ---- */

/* Where the table is, or belongs. */
static size_t place_of(const struct pgoutput *reader, uint32_t oid)
{
    size_t low = 0;
    size_t high = reader->n_relations;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (reader->relations[middle]->table.oid < oid)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct relation *find(const struct pgoutput *reader, uint32_t oid)
{
    size_t i = place_of(reader, oid);

    return i < reader->n_relations && reader->relations[i]->table.oid == oid ? reader->relations[i]
                                                                             : NULL;
}

static bool make_room(struct pgoutput *reader)
{
    size_t cap = reader->cap_relations ? reader->cap_relations * 2 : 64;
    struct relation **p;

    if (reader->n_relations < reader->cap_relations)
        return true;
    p = hs_realloc(reader->relations, cap * sizeof(struct relation *));
    if (!p)
        return false;
    reader->relations = p;
    reader->cap_relations = cap;
    return true;
}

/* Takes the place of an older description, which no change refers to: those live until the next read. */
static hs_status keep(struct pgoutput *reader, struct relation *relation, struct hs_err *reterr)
{
    size_t i = place_of(reader, relation->table.oid);

    if (i < reader->n_relations && reader->relations[i]->table.oid == relation->table.oid) {
        hs_free(reader->relations[i]);
        reader->relations[i] = relation;
        return HS_OK;
    }
    if (reader->n_relations == RELATIONS_MAX) {
        hs_free(relation);
        return refuse(reterr, "It describes more than 65,536 tables.");
    }
    if (!make_room(reader)) {
        hs_free(relation);
        return hs_fail_memory(reterr);
    }
    memmove(&reader->relations[i + 1], &reader->relations[i],
            (reader->n_relations - i) * sizeof(struct relation *));
    reader->relations[i] = relation;
    reader->n_relations++;
    return HS_OK;
}

static struct relation *copy_relation(uint32_t oid, const struct hs_change_column *columns,
                                      size_t n)
{
    size_t bytes = sizeof(struct relation) + n * sizeof(*columns);
    struct relation *relation;
    char *text;

    for (size_t i = 0; i < n; i++)
        bytes += columns[i].name.n;
    relation = hs_calloc(1, bytes);
    if (!relation)
        return NULL;
    text = (char *)&relation->columns[n];
    relation->table = (struct hs_change_table){oid, relation->columns, n, NULL};
    for (size_t i = 0; i < n; i++) {
        relation->columns[i] = columns[i];
        relation->columns[i].name.p = text;
        if (columns[i].name.n)
            memcpy(text, columns[i].name.p, columns[i].name.n);
        text += columns[i].name.n;
    }
    return relation;
}

static hs_status read_relation(struct pgoutput *reader, struct cursor *c,
                               struct pgoutput_message *ret_message, struct hs_err *reterr)
{
    struct hs_change_column columns[COLUMNS_MAX];
    uint32_t oid = take_u32(c);
    struct relation *relation;
    size_t n;

    (void)take_string(c); /* schema */
    (void)take_string(c); /* name: the oid identifies it */
    (void)take_u8(c);     /* replica identity: the columns' flags tell */
    n = take_u16(c);
    if (n > COLUMNS_MAX)
        return refuse(reterr, "A table has more than 1,600 columns.");
    for (size_t i = 0; i < n && !c->failed; i++) {
        columns[i].is_identity = take_u8(c) & FLAG_IDENTITY;
        columns[i].name = take_string(c);
        columns[i].type = take_u32(c);
        (void)take_u32(c); /* type modifier */
    }
    if (!is_whole(c))
        return refuse(reterr, "The description of a table is cut short or too long.");
    relation = copy_relation(oid, columns, n);
    if (!relation)
        return hs_fail_memory(reterr);
    ret_message->kind = PGOUTPUT_RELATION;
    return keep(reader, relation, reterr);
}

/* ---- rows ---- */

static hs_status read_value(struct cursor *c, struct hs_change_value *value, struct hs_err *reterr)
{
    *value = (struct hs_change_value){.kind = HS_VALUE_ABSENT};
    switch (take_u8(c)) {
    case 'n':
        value->kind = HS_VALUE_NULL;
        return HS_OK;
    case 'u': /* TOAST that did not change */
        return HS_OK;
    case 't':
        value->kind = HS_VALUE_TEXT;
        value->text = take_bytes(c, take_u32(c));
        return HS_OK;
    case 'b':
        return refuse(reterr, "A value is in binary form.");
    default:
        return refuse(reterr, "A value is of an unknown kind.");
    }
}

static hs_status read_tuple(struct cursor *c, const struct hs_change_table *table,
                            struct hs_change_value *values, struct hs_err *reterr)
{
    hs_status status = HS_OK;

    if (take_u16(c) != table->n_columns)
        return refuse(reterr, "A row does not have as many values as its table has columns.");
    for (size_t i = 0; i < table->n_columns && status == HS_OK && !c->failed; i++)
        status = read_value(c, &values[i], reterr);
    return status;
}

/* In the tuple of a key the other columns are sent as NULL, which they need not be. */
static void forget_others(const struct hs_change_table *table, struct hs_change_value *values)
{
    for (size_t i = 0; i < table->n_columns; i++) {
        if (!table->columns[i].is_identity)
            values[i] = (struct hs_change_value){.kind = HS_VALUE_ABSENT};
    }
}

static hs_status read_old(struct pgoutput *reader, struct cursor *c, uint8_t kind,
                          struct hs_change *change, struct hs_err *reterr)
{
    hs_status status = read_tuple(c, change->table, reader->old, reterr);

    if (status == HS_OK && kind == 'K')
        forget_others(change->table, reader->old);
    change->old = reader->old;
    return status;
}

static hs_status read_new(struct pgoutput *reader, struct cursor *c, struct hs_change *change,
                          struct hs_err *reterr)
{
    hs_status status = read_tuple(c, change->table, reader->new, reterr);

    change->new = reader->new;
    for (size_t i = 0; status == HS_OK && change->old && i < change->table->n_columns; i++) {
        /* What did not change is what it was. */
        if (reader->new[i].kind == HS_VALUE_ABSENT)
            reader->new[i] = reader->old[i];
    }
    return status;
}

static hs_status read_tuples(struct pgoutput *reader, struct cursor *c, struct hs_change *change,
                             struct hs_err *reterr)
{
    uint8_t kind = take_u8(c);
    bool may_be_old = change->kind != HS_CHANGE_INSERT;
    hs_status status = HS_OK;

    if (may_be_old && (kind == 'K' || kind == 'O')) {
        status = read_old(reader, c, kind, change, reterr);
        if (status != HS_OK || change->kind == HS_CHANGE_DELETE)
            return status;
        kind = take_u8(c);
    }
    if (kind != 'N' || change->kind == HS_CHANGE_DELETE)
        return refuse(reterr, "A changed row does not have the tuples that belong to it.");
    return read_new(reader, c, change, reterr);
}

static hs_status read_change(struct pgoutput *reader, struct cursor *c, enum hs_change_kind kind,
                             struct pgoutput_message *ret_message, struct hs_err *reterr)
{
    struct relation *relation = find(reader, take_u32(c));
    struct hs_change change = {.kind = kind};
    hs_status status;

    if (!reader->is_open)
        return refuse(reterr, "A row changes outside of a transaction.");
    if (!relation)
        return refuse(reterr, "A row changes in a table that was not described.");
    change.table = &relation->table;
    change.stamp = HS_GUARD(stamp_plus_one) ? reader->final_lsn + 1 : reader->final_lsn;
    status = read_tuples(reader, c, &change, reterr);
    if (status != HS_OK)
        return status;
    if (!is_whole(c))
        return refuse(reterr, "A changed row is cut short or too long.");
    ret_message->kind = PGOUTPUT_CHANGE;
    ret_message->change = change;
    return HS_OK;
}

static hs_status read_truncate(struct pgoutput *reader, struct cursor *c,
                               struct pgoutput_message *ret_message, struct hs_err *reterr)
{
    size_t n = take_u32(c);

    (void)take_u8(c); /* CASCADE, RESTART IDENTITY: all tables are named anyway */
    if (!reader->is_open)
        return refuse(reterr, "A TRUNCATE stands outside of a transaction.");
    if (c->failed || n != (size_t)(c->end - c->p) / sizeof(uint32_t))
        return refuse(reterr, "A TRUNCATE is cut short or too long.");
    if (n > reader->cap_truncated) {
        uint32_t *p = hs_realloc(reader->truncated, n * sizeof(*p));

        if (!p)
            return hs_fail_memory(reterr);
        reader->truncated = p;
        reader->cap_truncated = n;
    }
    for (size_t i = 0; i < n; i++)
        reader->truncated[i] = take_u32(c);
    if (!is_whole(c))
        return refuse(reterr, "A TRUNCATE is cut short or too long.");
    ret_message->kind = PGOUTPUT_TRUNCATE;
    ret_message->change.stamp = HS_GUARD(stamp_plus_one) ? reader->final_lsn + 1
                                                         : reader->final_lsn;
    ret_message->tables = reader->truncated;
    ret_message->n_tables = n;
    return HS_OK;
}

/* ---- transactions, messages ---- */

static hs_status read_begin(struct pgoutput *reader, struct cursor *c,
                            struct pgoutput_message *ret_message, struct hs_err *reterr)
{
    uint64_t final_lsn = take_u64(c);

    (void)take_u64(c); /* time of the commit */
    ret_message->kind = PGOUTPUT_BEGIN;
    ret_message->final_lsn = final_lsn;
    ret_message->xid = take_u32(c);
    if (!is_whole(c))
        return refuse(reterr, "A Begin is cut short or too long.");
    if (reader->is_open)
        return refuse(reterr, "A transaction begins inside of another.");
    if (final_lsn < reader->ended || final_lsn == UINT64_MAX)
        return refuse(reterr, "A transaction lies before the one that was told last.");
    reader->is_open = true;
    reader->final_lsn = final_lsn;
    return HS_OK;
}

static hs_status read_commit(struct pgoutput *reader, struct cursor *c,
                             struct pgoutput_message *ret_message, struct hs_err *reterr)
{
    uint64_t commit_lsn;

    (void)take_u8(c); /* flags, none are known */
    commit_lsn = take_u64(c);
    ret_message->kind = PGOUTPUT_COMMIT;
    ret_message->end_lsn = take_u64(c);
    (void)take_u64(c); /* time of the commit */
    if (!is_whole(c))
        return refuse(reterr, "A Commit is cut short or too long.");
    if (!reader->is_open || commit_lsn != reader->final_lsn || ret_message->end_lsn <= commit_lsn)
        return refuse(reterr, "A Commit does not belong to the transaction before it.");
    reader->is_open = false;
    reader->ended = ret_message->end_lsn;
    return HS_OK;
}

static hs_status read_message(struct pgoutput *reader, struct cursor *c,
                              struct pgoutput_message *ret_message, struct hs_err *reterr)
{
    ret_message->kind = PGOUTPUT_MESSAGE;
    ret_message->is_transactional = take_u8(c) & FLAG_TRANSACTIONAL;
    ret_message->message_lsn = take_u64(c);
    ret_message->prefix = take_string(c);
    ret_message->content = take_bytes(c, take_u32(c));
    if (!is_whole(c))
        return refuse(reterr, "A logical message is cut short or too long.");
    if (ret_message->is_transactional && !reader->is_open)
        return refuse(reterr, "A logical message stands outside of its transaction.");
    return HS_OK;
}

/* Origin: position and name. Type: oid, schema and name. Nothing depends on them. */
static hs_status read_other(struct cursor *c, bool is_type, struct pgoutput_message *ret_message,
                            struct hs_err *reterr)
{
    (void)take_number(c, is_type ? 4 : 8);
    (void)take_string(c);
    if (is_type)
        (void)take_string(c);
    if (!is_whole(c))
        return refuse(reterr, "An Origin or Type is cut short or too long.");
    ret_message->kind = PGOUTPUT_OTHER;
    return HS_OK;
}

hs_status pgoutput_read(struct pgoutput *reader, struct hs_str bytes,
                        struct pgoutput_message *ret_message, struct hs_err *reterr)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    struct cursor c = {p, p ? p + bytes.n : NULL, false};

    *ret_message = (struct pgoutput_message){.kind = PGOUTPUT_OTHER};
    switch (take_u8(&c)) {
    case 'B':
        return read_begin(reader, &c, ret_message, reterr);
    case 'C':
        return read_commit(reader, &c, ret_message, reterr);
    case 'I':
        return read_change(reader, &c, HS_CHANGE_INSERT, ret_message, reterr);
    case 'U':
        return read_change(reader, &c, HS_CHANGE_UPDATE, ret_message, reterr);
    case 'D':
        return read_change(reader, &c, HS_CHANGE_DELETE, ret_message, reterr);
    case 'T':
        return read_truncate(reader, &c, ret_message, reterr);
    case 'M':
        return read_message(reader, &c, ret_message, reterr);
    case 'R':
        return read_relation(reader, &c, ret_message, reterr);
    case 'O':
        return read_other(&c, /* is_type= */ false, ret_message, reterr);
    case 'Y':
        return read_other(&c, /* is_type= */ true, ret_message, reterr);
    default:
        return refuse(reterr, "A message is of an unknown kind.");
    }
}
