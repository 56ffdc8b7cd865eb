/* SPDX-License-Identifier: Apache-2.0 */
/*
 * core/change.h - one changed row, as PostgreSQL's change stream tells it.
 *
 * pg/feed makes it, cache stamps by it; neither knows the other. Everything in it lives until the call
 * that hands it over returns, but for struct hs_change_table, which lives until it is told anew.
 * Positions (LSNs) are plain 64-bit numbers, stamps are explained in cache/rule.h.
 */
#ifndef CORE_CHANGE_H
#define CORE_CHANGE_H

#include "core/str.h"

struct hs_change_column {
    struct hs_str name;
    uint32_t type;    /* oid */
    bool is_identity; /* of the table's replica identity; with FULL: every column */
};

/* A table (a leaf, where it is a partition) as the stream described it last. */
struct hs_change_table {
    uint32_t oid;
    const struct hs_change_column
        *columns; /* in the order of their values; generated ones are not there */
    size_t n_columns;
    void *user; /* the listener's own; NULL at first and whenever it is told anew */
};

enum hs_value_kind {
    HS_VALUE_ABSENT, /* the stream does not say: no identity column, or TOAST that did not change */
    HS_VALUE_NULL,
    HS_VALUE_TEXT
};

struct hs_change_value {
    enum hs_value_kind kind;
    struct hs_str text; /* the type's output form, ISO dates, UTC */
};

enum hs_change_kind { HS_CHANGE_INSERT, HS_CHANGE_UPDATE, HS_CHANGE_DELETE };

struct hs_change {
    enum hs_change_kind kind;
    struct hs_change_table *table;
    uint64_t stamp; /* of its transaction */
    /*
     * Values in the order of table->columns. old is NULL for an INSERT, and for an UPDATE that brought
     * none: then the identity columns did not change. An old value that is not of the identity is ABSENT.
     * new is NULL for a DELETE.
     */
    const struct hs_change_value *old;
    const struct hs_change_value *new;
};

#endif
