/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One object or an array of them into columns of values.
 *
 *     [{"a":1,"b":"x"},          a: values  "1"  "2"    is_given  NULL (all)
 *      {"a":2}]                  b: values  "x"  NULL   is_given  true false
 *
 * A first pass only counts the elements of the array, so that the lists of values are made once and of
 * their size; the second checks and reads. Rows of one body mostly have the same members in the same order,
 * so the name behind the last one is tried before the table's index.
 *
 * The rule: a row is read whole or the body is refused; nothing is guessed.
 *
 * Source: RFC 8259, section 4 for members of one name.
 */
#include "api/body.h"

#include <stdlib.h>

#include "api/body_int.h"
#include "core/mem.h"
#include "core/nearest.h"

/* ---- errors ---- */

hs_status body_fail_memory(const struct body_reader *b, struct hs_err *reterr)
{
    if (hs_mem_failures() != b->mem_failures)
        return hs_fail_memory(reterr);
    (void)hs_fail(reterr, HS_E_BODY_TOO_LARGE, "the body needs more memory than a request may use");
    hs_err_hint(reterr, "Send fewer rows at once, or raise server.request.memory_max.");
    return HS_E_BODY_TOO_LARGE;
}

void body_add_row(const struct body_reader *b, struct hs_err *reterr)
{
    struct hs_err whole;

    if (!b->is_array || !reterr)
        return;
    (void)hs_fail(&whole, reterr->status, "%s, row %zu", reterr->what, b->row);
    memcpy(reterr->what, whole.what, sizeof(whole.what));
}

static hs_status fail_unknown(const struct body_reader *b, struct hs_str name,
                              struct hs_err *reterr)
{
    struct hs_nearest near;
    struct hs_str best;

    hs_nearest_start(&near, name);
    for (size_t i = 0; i < b->table->pg->n_columns; i++)
        hs_nearest_offer(&near, b->table->fields[i].name);
    best = hs_nearest_best(&near);
    (void)hs_fail(reterr, HS_E_UNKNOWN_COLUMN, "%.*s has no column \"%.*s\"",
                  HS_FMT(b->table->name), HS_FMT(name));
    body_add_row(b, reterr);
    if (best.n)
        hs_err_hint(reterr, "Perhaps you meant \"%.*s\".", HS_FMT(best));
    return HS_E_UNKNOWN_COLUMN;
}

static hs_status fail_unwritable(const struct body_reader *b, const struct tree_field *field,
                                 struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_BAD_VALUE, "%.*s.%.*s cannot be given", HS_FMT(b->table->name),
                  HS_FMT(field->name));
    body_add_row(b, reterr);
    hs_err_why(reterr, "%s",
               field->column->is_generated
                   ? "The column is GENERATED ALWAYS from other columns."
                   : "The column is an identity, GENERATED ALWAYS by the database.");
    hs_err_hint(reterr, "Leave it out.");
    if (reterr)
        reterr->http = 422;
    return HS_E_BAD_VALUE;
}

/* ---- columns ---- */

/* Where the key only says which row it is, it may be a column that nobody writes. */
static bool is_writable(const struct body_reader *b, const struct pg_column *column)
{
    bool is_named = b->kind == BODY_REPLACE || (b->kind == BODY_UPDATE && b->is_array);

    return (!column->is_generated && !column->is_identity_always) ||
           (is_named && api_table_is_key(b->table, column));
}

static hs_status add_slot(struct body_reader *b, const struct tree_field *field,
                          struct hs_err *reterr)
{
    struct body_slot *slot = &b->slots[b->n_set];
    struct tree_assignment *set = &b->set[b->n_set];

    if (!is_writable(b, field->column))
        return fail_unwritable(b, field, reterr);
    slot->field = field;
    set->column = field->column;
    set->values = HS_NEW_ARRAY(b->arena, b->n_rows, const char *);
    /* Rows before this one do not give it. */
    if (b->row > 1)
        slot->is_given = HS_NEW_ARRAY(b->arena, b->n_rows, bool);
    if (hs_arena_failed(b->arena))
        return body_fail_memory(b, reterr);
    b->slot_of[field->column->index] = (uint16_t)++b->n_set;
    return HS_OK;
}

/* The slot of the name just read; `likely` is the one behind the last. */
static hs_status find_slot(struct body_reader *b, size_t likely, size_t *ret_slot,
                           struct hs_err *reterr)
{
    struct hs_str name = b->json.value;
    const struct tree_field *field;
    hs_status status = HS_OK;

    *ret_slot = likely;
    if (likely < b->n_set && !b->json.has_escapes && hs_str_eq(name, b->slots[likely].name))
        return HS_OK;
    if (b->json.has_escapes)
        status = json_text(&b->json, b->arena, &name, reterr);
    if (status == HS_E_MEMORY)
        return body_fail_memory(b, reterr);
    if (status)
        return status;
    field = api_table_field(b->table, name);
    if (!field)
        return fail_unknown(b, name, reterr);
    if (!b->slot_of[field->column->index])
        status = add_slot(b, field, reterr);
    if (status)
        return status;
    *ret_slot = b->slot_of[field->column->index] - 1U;
    if (!b->json.has_escapes)
        b->slots[*ret_slot].name = name;
    return HS_OK;
}

/* ---- rows ---- */

static hs_status read_member(struct body_reader *b, size_t likely, size_t *ret_slot,
                             struct hs_err *reterr)
{
    hs_status status = find_slot(b, likely, ret_slot, reterr);
    struct body_slot *slot = &b->slots[*ret_slot];
    enum json_token token;

    if (status)
        return status;
    if (slot->last_row == b->row) {
        (void)hs_fail(reterr, HS_E_BAD_BODY, "\"%.*s\" stands twice in one object",
                      HS_FMT(slot->field->name));
        body_add_row(b, reterr);
        hs_err_hint(reterr, "Give each column once.");
        return HS_E_BAD_BODY;
    }
    slot->last_row = b->row;
    if (slot->is_given)
        slot->is_given[b->row - 1] = true;
    b->field = slot->field;
    b->json.has_nul = false;
    status = json_next(&b->json, &token, reterr);
    if (status)
        return status;
    return body_value(b, token, &b->set[*ret_slot].values[b->row - 1], reterr);
}

/* The columns that the row left out. */
static hs_status mark_missing(struct body_reader *b, struct hs_err *reterr)
{
    for (size_t i = 0; i < b->n_set; i++) {
        struct body_slot *slot = &b->slots[i];

        if (slot->last_row == b->row || slot->is_given)
            continue;
        slot->is_given = HS_NEW_ARRAY(b->arena, b->n_rows, bool);
        if (!slot->is_given)
            return body_fail_memory(b, reterr);
        memset(slot->is_given, true, b->row - 1);
    }
    return HS_OK;
}

/* A row of an update names itself by its key. */
static hs_status check_key(const struct body_reader *b, struct hs_err *reterr)
{
    for (size_t i = 0; i < b->table->n_key; i++) {
        const struct pg_column *column = b->table->key[i];
        size_t slot = b->slot_of[column->index];

        if (slot && b->slots[slot - 1].last_row == b->row && b->set[slot - 1].values[b->row - 1])
            continue;
        (void)hs_fail(reterr, HS_E_BAD_BODY, "the key \"%.*s\" is missing",
                      HS_FMT(api_table_field_of(b->table, column)->name));
        body_add_row(b, reterr);
        hs_err_hint(reterr, "Give the key of each row, or change rows by filters.");
        return HS_E_BAD_BODY;
    }
    return HS_OK;
}

static hs_status read_row(struct body_reader *b, struct hs_err *reterr)
{
    size_t likely = 0;
    size_t n = 0;

    for (;; n++) {
        enum json_token token;
        hs_status status = json_next(&b->json, &token, reterr);

        if (status)
            return status;
        if (token == JSON_OBJECT_END)
            break;
        status = read_member(b, likely, &likely, reterr);
        if (status)
            return status;
        likely++;
    }
    if (b->kind == BODY_UPDATE && !b->is_array && !n) {
        (void)hs_fail(reterr, HS_E_BAD_BODY, "the object is empty");
        hs_err_hint(reterr, "Give the columns that change.");
        return HS_E_BAD_BODY;
    }
    return n < b->n_set ? mark_missing(b, reterr) : HS_OK;
}

static hs_status fail_row_kind(const struct body_reader *b, struct hs_err *reterr)
{
    (void)hs_fail(reterr, HS_E_BAD_BODY, "a row is not an object");
    body_add_row(b, reterr);
    hs_err_hint(reterr, "Send objects, with a member for each column.");
    return HS_E_BAD_BODY;
}

static hs_status read_rows(struct body_reader *b, struct hs_err *reterr)
{
    for (;;) {
        enum json_token token;
        hs_status status = json_next(&b->json, &token, reterr);

        if (status || token == JSON_ARRAY_END)
            return status;
        /* The pass that counted saw the same commas. */
        HS_BUG_ON(b->row == b->n_rows);
        b->row++;
        status = token == JSON_OBJECT ? read_row(b, reterr) : fail_row_kind(b, reterr);
        if (!status && b->kind == BODY_UPDATE)
            status = check_key(b, reterr);
        if (status)
            return status;
    }
}

/* ---- rows that are the same ---- */

static const char *key_value(const struct body_reader *b, size_t key, size_t row)
{
    return b->set[b->slot_of[b->table->key[key]->index] - 1U].values[row];
}

static int compare_keys(const void *left, const void *right, void *arg)
{
    const struct body_reader *b = arg;
    size_t x = *(const size_t *)left;
    size_t y = *(const size_t *)right;
    int order = 0;

    for (size_t i = 0; i < b->table->n_key && !order; i++)
        order = strcmp(key_value(b, i, x), key_value(b, i, y));
    return order;
}

/* Of two changes of one row only one would happen, and nobody could say which. */
static hs_status check_distinct(struct body_reader *b, struct hs_err *reterr)
{
    size_t *rows = HS_NEW_ARRAY(b->arena, b->n_rows, size_t);

    if (!rows)
        return body_fail_memory(b, reterr);
    for (size_t i = 0; i < b->n_rows; i++)
        rows[i] = i;
    qsort_r(rows, b->n_rows, sizeof(*rows), compare_keys, b);
    for (size_t i = 1; i < b->n_rows; i++) {
        if (compare_keys(&rows[i - 1], &rows[i], b) == 0) {
            size_t first = rows[i - 1] < rows[i] ? rows[i - 1] : rows[i];
            size_t second = rows[i - 1] < rows[i] ? rows[i] : rows[i - 1];

            (void)hs_fail(reterr, HS_E_BAD_BODY, "rows %zu and %zu have the same key", first + 1,
                          second + 1);
            hs_err_hint(reterr, "Give each row once.");
            return HS_E_BAD_BODY;
        }
    }
    return HS_OK;
}

static hs_status check_many_updates(struct body_reader *b, struct hs_err *reterr)
{
    if (b->n_set == b->table->n_key) {
        (void)hs_fail(reterr, HS_E_BAD_BODY, "the rows have nothing but their keys");
        hs_err_hint(reterr, "Give the columns that change.");
        return HS_E_BAD_BODY;
    }
    return check_distinct(b, reterr);
}

/* ---- the whole ---- */

/* Behind the string that begins at `at`; in a broken text, its end. */
static size_t string_end(struct hs_str text, size_t at)
{
    for (at++; at < text.n && text.p[at] != '"'; at++)
        at += text.p[at] == '\\';
    return at;
}

/* Elements of the array that begins at `at`: never less than the reader will find. */
static size_t count_elements(struct hs_str text, size_t at)
{
    size_t depth = 1;
    size_t n = 1;

    for (at++; at < text.n && depth; at++) {
        char c = text.p[at];

        if (c == '"')
            at = string_end(text, at);
        else if (c == '{' || c == '[')
            depth++;
        else if (c == '}' || c == ']')
            depth--;
        else if (c == ',' && depth == 1)
            n++;
    }
    return n;
}

static hs_status open_array(struct body_reader *b, uint64_t rows_max, struct hs_err *reterr)
{
    if (b->kind == BODY_REPLACE)
        return hs_fail(reterr, HS_E_BAD_BODY, "one row takes one object, not an array");
    if (b->kind == BODY_UPDATE && !b->table->n_key) {
        (void)hs_fail(reterr, HS_E_BAD_BODY, "%.*s has no key by which rows could be found",
                      HS_FMT(b->table->name));
        hs_err_hint(reterr, "Change its rows by filters, with one object.");
        return HS_E_BAD_BODY;
    }
    b->is_array = true;
    b->n_rows = count_elements(b->json.text, b->json.start);
    if (b->n_rows <= rows_max)
        return HS_OK;
    (void)hs_fail(reterr, HS_E_BODY_TOO_LARGE, "%zu rows, more than %llu in one request", b->n_rows,
                  (unsigned long long)rows_max);
    hs_err_hint(reterr, "Send them in parts, or raise api.body.rows_max.");
    return HS_E_BODY_TOO_LARGE;
}

static hs_status make_room(struct body_reader *b, struct hs_err *reterr)
{
    size_t columns = b->table->pg->n_columns;

    b->slot_of = HS_NEW_ARRAY(b->arena, columns, uint16_t);
    b->slots = HS_NEW_ARRAY(b->arena, columns, struct body_slot);
    b->set = HS_NEW_ARRAY(b->arena, columns, struct tree_assignment);
    b->at = hs_arena_alloc(b->arena, b->json.text.n + 1);
    if (hs_arena_failed(b->arena))
        return body_fail_memory(b, reterr);
    b->end = b->at + b->json.text.n + 1;
    return HS_OK;
}

static hs_status read_all(struct body_reader *b, uint64_t rows_max, struct hs_err *reterr)
{
    enum json_token token;
    hs_status status = json_next(&b->json, &token, reterr);

    if (status)
        return status;
    if (token != JSON_ARRAY && token != JSON_OBJECT)
        return hs_fail(reterr, HS_E_BAD_BODY, "the body is neither an object nor an array");
    b->n_rows = 1;
    if (token == JSON_ARRAY)
        status = open_array(b, rows_max, reterr);
    if (!status)
        status = make_room(b, reterr);
    if (status)
        return status;
    b->row = token == JSON_OBJECT;
    status = token == JSON_OBJECT ? read_row(b, reterr) : read_rows(b, reterr);
    if (!status)
        status = json_next(&b->json, &token, reterr);
    if (status)
        return status;
    if (!b->row)
        return hs_fail(reterr, HS_E_BAD_BODY, "the array is empty");
    return b->kind == BODY_UPDATE && b->is_array ? check_many_updates(b, reterr) : HS_OK;
}

hs_status body_read(const struct api_table *table, enum body_kind kind, struct hs_str text,
                    uint64_t rows_max, struct hs_arena *arena, struct body_rows *ret_rows,
                    struct hs_err *reterr)
{
    struct body_reader b = {
        .table = table, .kind = kind, .arena = arena, .mem_failures = hs_mem_failures()};
    hs_status status;

    json_reader_init(&b.json, text, JSON_DEPTH_MAX);
    hs_buf_init(&b.scratch, arena->bytes_max);
    status = read_all(&b, rows_max, reterr);
    hs_buf_fini(&b.scratch);
    if (status)
        return status;
    for (size_t i = 0; i < b.n_set; i++)
        b.set[i].is_given = b.slots[i].is_given;
    *ret_rows = (struct body_rows){
        .is_array = b.is_array, .set = b.set, .n_set = b.n_set, .n_rows = b.row};
    return HS_OK;
}
