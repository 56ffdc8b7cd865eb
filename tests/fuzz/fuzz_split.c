/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes as a script. Statements must lie in it in order, without overlap and without an edge of white
 * space; cut out alone, each must be one statement again, of the same kind.
 */
#include <stdlib.h>

#include "pg/split.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_within(struct hs_str part, struct hs_str whole)
{
    return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void check_alone(const struct pg_statement *st)
{
    struct pg_split split;
    struct pg_statement again;

    pg_split_start(&split, st->text);
    if (!pg_split_next(&split, &again) || !hs_str_eq(again.text, st->text) ||
        again.kind != st->kind || again.is_closed)
        abort();
    if (pg_split_next(&split, &again) || split.fault)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hs_str sql = hs_strn((const char *)data, size);
    struct pg_split split;
    struct pg_statement st;
    size_t last = 0;

    if (size > 65536)
        return 0;
    pg_split_start(&split, sql);
    while (pg_split_next(&split, &st)) {
        if (st.text.n == 0 || st.from < last || st.from + st.text.n > st.end || st.end > size ||
            st.text.p != sql.p + st.from || !is_within(st.index, st.text) ||
            !is_within(st.table, st.text))
            abort();
        last = st.end;
        check_alone(&st);
    }
    if (split.fault && split.fault_at >= size)
        abort();
    return 0;
}
