/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/comment.h - comments behind statements, so that the database's own logs name the route.
 *
 * Source     the sqlcommenter specification: key='value', keys sorted, values percent-encoded.
 */
#ifndef API_COMMENT_H
#define API_COMMENT_H

#include "core/arena.h"

/* "route='%2Fapi%2Fv1%2Fclients'" without the marks of a comment. p == NULL: no memory. */
struct hs_str api_comment_route(struct hs_arena *arena, struct hs_str route);
#endif
