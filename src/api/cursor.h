/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/cursor.h - a position in an ordered list as an opaque, authenticated text.
 *
 * A cursor holds the values of the order's columns of one row and a direction. It is bound to the table,
 * the order and the filter: with another of these it is refused, as if it had been tampered with. It
 * is not bound to fields, limit or caller: what one may read is decided anew for each request.
 */
#ifndef API_CURSOR_H
#define API_CURSOR_H

#include "api/tree.h"
#include "core/buf.h"
#include "net/crypto.h"

enum { CURSOR_BYTES_MAX = 3072 }; /* of values; as text 4/3 of that, so it fits in a request line */

/* What a tree's cursors are bound to. In the arena; made once a request. */
hs_status cursor_binding(const struct tree_select *tree, struct hs_arena *arena,
                         struct hs_str *ret_binding, struct hs_err *reterr) hs_must_check;

/*
 * Appends the cursor's text.
 *   values  as many as the tree's order has; p == NULL = SQL NULL
 *   errors  HS_E_BAD_PARAMETER (a value is too long for a cursor), HS_E_MEMORY
 */
hs_status cursor_write(struct net_hmac *hmac, struct hs_str binding, bool is_backward,
                       const struct hs_str *values, size_t n_values, struct hs_arena *arena,
                       struct hs_buf *out, struct hs_err *reterr) hs_must_check;

/* errors  HS_E_BAD_CURSOR, HS_E_MEMORY */
hs_status cursor_read(struct net_hmac *hmac, struct hs_str binding, struct hs_str text,
                      size_t n_values, struct hs_arena *arena,
                      const struct tree_position **ret_position, struct hs_err *reterr)
    hs_must_check;

#endif
