/* SPDX-License-Identifier: Apache-2.0 */
/*
 * edge/claim_path.h - where in a token's claims the role is named.
 *
 * Two ways to write it:
 *   app.role                a dot steps into an object; what is left is first tried as one name, so that
 *                           "https://example.com/role" works as well
 *   .app.roles[0]           begins with '.' or '$': a JSON path (RFC 9535), as PostgREST has it, of names
 *   $['a b'].roles          (.name, ."name", ['name']), positions ([0], [-1]) and one filter over the texts
 *   .roles[?(@ == "x")]     of an array: ==, !=, ^== begins with, ==^ ends with, *== contains, and
 *   $.roles[?search(@,'x')] search(@, 'regular expression') of POSIX's extended kind. Of several that
 *   .group[1:-1]            match the first counts. A last [a:b] cuts the text itself.
 *
 * Not of RFC 9535: wildcards, descendants, unions, other comparisons and functions; refused.
 * Limits     EDGE_PATH_STEPS steps.
 * Thread     read-only once made.
 */
#ifndef EDGE_CLAIM_PATH_H
#define EDGE_CLAIM_PATH_H

#include "core/arena.h"
#include "core/err.h"

enum { EDGE_PATH_STEPS = 32 };

struct edge_claim_path;
struct json_t; /* of jansson */

/*
 * Made in the arena, except for what a search() needs: end it with edge_claim_path_fini().
 *   errors  HS_E_CONFIG (what is not understood, and where), HS_E_MEMORY
 */
hs_status edge_claim_path_new(struct hs_str text, struct hs_arena *arena,
                              struct edge_claim_path **ret_path, struct hs_err *reterr)
    hs_must_check;
/* NULL is allowed. */
void edge_claim_path_fini(struct edge_claim_path *path);

/* As it was written. */
struct hs_str edge_claim_path_text(const struct edge_claim_path *path);

/* The text that the path finds; p == NULL: none, or no text. It lives as long as the claims. */
struct hs_str edge_claim_path_find(const struct edge_claim_path *path, const struct json_t *claims);

#endif
