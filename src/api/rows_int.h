/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/rows_int.h - what rows.c and rows_nested.c share. This folder only.
 */
#ifndef API_ROWS_INT_H
#define API_ROWS_INT_H

#include "api/rows.h"

/* Composites in arrays in composites ...: deeper ones are written as a string. */
enum { API_NEST_MAX = 32 };

/*
 * One per call, on the stack. An element that was quoted with escapes is unescaped into the scratch buffer
 * of its depth, so that the text of an outer level never moves while an inner one is written.
 */
struct api_writer {
    struct hs_buf *out;
    const struct api_rows_opts *opts;
    unsigned scratch_used; /* scratch[0 .. scratch_used - 1] are initialised */
    struct hs_buf scratch[API_NEST_MAX];
};

/* false = not a text of that type; what was appended so far is to be taken back. */
bool api_write_value(struct api_writer *w, const struct pg_type *type, struct hs_str text,
                     unsigned depth) hs_must_check;
bool api_write_array(struct api_writer *w, const struct pg_type *type, struct hs_str text,
                     unsigned depth) hs_must_check;
bool api_write_composite(struct api_writer *w, const struct pg_type *type, struct hs_str text,
                         unsigned depth) hs_must_check;

/* The elements of one is_many column of one row (rows_layers.c). */
struct api_layer_walk {
    const struct api_layers *layers;
    size_t next;
};

struct api_layer_walk api_layer_begin(const struct api_layers *layers, const struct pg_rows *rows,
                                      size_t row, size_t column);
/* false: no more. */
bool api_layer_next(struct api_layer_walk *walk, size_t *ret_row);

#endif
