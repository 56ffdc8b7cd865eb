/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which rows of a result belong to which.
 *
 * The result says it by numbers; here they become lists: for each is_many column and each number the first row,
 * and for each row the next one of its list. Rows keep the order in which they came, but those of the top stand as
 * their numbers say. A number that is none, which no statement of ours makes, leaves its row out.
 */
#include "api/rows.h"
#include "api/rows_int.h"
#include "core/arena.h"
#include "pg/pool.h"

enum { NONE = 0 }; /* rows stand in lists as their index + 1 */

struct list {
    uint32_t first;
    uint32_t last;
};

struct api_layers {
    size_t number_column;
    size_t n_rows;
    uint32_t *next; /* n_rows */
    uint32_t *top;  /* n_top */
    size_t n_top;
    struct list **lists; /* by column; NULL where it is not is_many. Each n_rows + 1, by number */
};

/* 0: it is no number of a row. */
static size_t number_of(const struct api_layers *l, const struct pg_rows *rows, size_t row,
                        size_t column)
{
    struct hs_str text = pg_rows_value(rows, row, column);
    int64_t number;

    if (!text.p || !hs_str_to_i64(text, &number) || number < 1 || (uint64_t)number > l->n_rows)
        return 0;
    return (size_t)number;
}

static void append(struct api_layers *l, struct list *list, size_t row)
{
    if (list->last)
        l->next[list->last - 1] = (uint32_t)row + 1;
    else
        list->first = (uint32_t)row + 1;
    list->last = (uint32_t)row + 1;
}

static void place(struct api_layers *l, const struct pg_rows *rows, size_t n_cols, size_t row)
{
    size_t number;

    for (size_t i = 0; i < n_cols; i++) {
        if (!l->lists[i] || !pg_rows_value(rows, row, i).p)
            continue;
        number = number_of(l, rows, row, i);
        if (number)
            append(l, &l->lists[i][number], row);
        return;
    }
    number = number_of(l, rows, row, l->number_column);
    /* A count without a row has no number: it stands alone. */
    number = number ? number : 1;
    l->top[number - 1] = (uint32_t)row;
    if (l->n_top < number)
        l->n_top = number;
}

hs_status api_layers_read(const struct pg_rows *rows, size_t n, const struct api_out_column *cols,
                          size_t n_cols, size_t number_column, struct hs_arena *arena,
                          struct api_layers **ret_layers, struct hs_err *reterr)
{
    struct api_layers *l = HS_NEW(arena, struct api_layers);

    HS_BUG_ON(n > pg_rows_count(rows));
    if (!l)
        return hs_fail_memory(reterr);
    l->number_column = number_column;
    l->n_rows = n;
    l->next = HS_NEW_ARRAY(arena, n + 1, uint32_t);
    l->top = HS_NEW_ARRAY(arena, n + 1, uint32_t);
    l->lists = HS_NEW_ARRAY(arena, n_cols + 1, struct list *);
    for (size_t i = 0; l->lists && i < n_cols; i++) {
        if (cols[i].is_many)
            l->lists[i] = HS_NEW_ARRAY(arena, n + 1, struct list);
    }
    if (hs_arena_failed(arena))
        return hs_fail_memory(reterr);
    for (size_t row = 0; row < n; row++)
        place(l, rows, n_cols, row);
    *ret_layers = l;
    return HS_OK;
}

size_t api_layers_count(const struct api_layers *layers)
{
    return layers->n_top;
}

size_t api_layers_row(const struct api_layers *layers, size_t i)
{
    return layers->top[i];
}

struct api_layer_walk api_layer_begin(const struct api_layers *layers, const struct pg_rows *rows,
                                      size_t row, size_t column)
{
    size_t number = number_of(layers, rows, row, layers->number_column);

    return (struct api_layer_walk){layers, number ? layers->lists[column][number].first : NONE};
}

bool api_layer_next(struct api_layer_walk *walk, size_t *ret_row)
{
    if (walk->next == NONE)
        return false;
    *ret_row = walk->next - 1;
    walk->next = walk->layers->next[*ret_row];
    return true;
}
