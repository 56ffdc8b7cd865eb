/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/depend.h - what the answer to a read depends on, and as whom it may be read and kept.
 *
 * An answer may be kept if everything that it depends on is known: the tables behind its relations (pg_depend of
 * the catalog), no value that means another instant tomorrow ("today"), only claims that have a name. It is then
 * asked with these claims alone, so that what is not in the key cannot matter; and its tags are as narrow
 * as its filters and the policies allow.
 *
 * Thread     the worker's.
 */
#ifndef API_DEPEND_H
#define API_DEPEND_H

#include "api/model.h"
#include "cache/state.h"

enum { API_TAGS_MAX = 64 };

struct api_depend {
    bool is_known;
    const char *why; /* !is_known: for people; lives as long as the model or the request's arena */
    struct cache_tag tags[API_TAGS_MAX];
    size_t n_tags;
    uint64_t claims; /* bits of the catalog's claims that go into the key */
};

/*
 * Brings a tree into canonical form: filters that mean the same stand in the same order, so that two spellings of
 * a query become one statement and one key. Its meaning does not change. Before it is written and before a
 * cursor is bound to it; allocates nothing.
 */
void api_canonical(struct tree_select *tree, struct hs_arena *arena);
/* The same of the values of a row's key (table->n_key of them, NUL-terminated). */
void api_canonical_key(const struct api_table *table, const char **key, struct hs_arena *arena);

/*
 * Of a tree, asked by `who` (its role and claims are looked at). Registers tables and shapes with the state.
 * What is not known is no error: it says why and has no tags.
 * errors HS_E_MEMORY
 */
hs_status api_depend_tree(const struct api_model *model, const struct tree_select *tree,
                          const struct hs_identity *who, struct cache_state *state,
                          struct hs_arena *arena, struct api_depend *ret, struct hs_err *reterr)
    hs_must_check;
/* Of one row by its key (table->n_key values), all that is shown of it. */
hs_status api_depend_item(const struct api_model *model, const struct api_table *table,
                          const char *const *key, const struct hs_identity *who,
                          struct cache_state *state, struct hs_arena *arena, struct api_depend *ret,
                          struct hs_err *reterr) hs_must_check;

/* Of a statement that is known by what the catalog's trees say of it: all rows of the tables that it reads. */
hs_status api_depend_read(const struct api_model *model, const struct pg_depend *reads,
                          const struct hs_identity *who, struct cache_state *state,
                          struct hs_arena *arena, struct api_depend *ret, struct hs_err *reterr)
    hs_must_check;

/*
 * Registers the columns by which the answers of each table are told apart most often, its key and what its policies
 * compare with claims, so that the first answer of all can be kept. Of the first DEPEND_PREPARED_MAX tables: there is
 * room for so many sets of columns only, and the rest must serve what is really asked.
 */
enum { DEPEND_PREPARED_MAX = 256 };
void api_depend_prepare(const struct api_model *model, struct cache_state *state);

/*
 * Does the text mean the same value of the type whenever it is read? Not "tomorrow", nothing of a type whose
 * input function is the user's, and no time with a zone but without a day.
 */
bool api_value_is_fixed(const struct pg_type *type, struct hs_str text);

/*
 * Does the text mean the same value of the type whenever it is read? Not "tomorrow", nothing of a type whose
 * input function is the user's, and no time with a zone but without a day.
 */
bool api_value_is_fixed(const struct pg_type *type, struct hs_str text);

/* ---- as whom ---- */

/*
 * Identities with only the claims that count, each once per worker; at most 4096, then it begins anew. An identity
 * is shown to one of these only, its worker's.
 */
struct api_callers;

hs_status api_callers_new(struct api_callers **ret_callers, struct hs_err *reterr) hs_must_check;
void api_callers_free(struct api_callers *callers);
/*
 * The identity of `who` with only those of its claims (bits of the catalog's), in their order: one object for all
 * callers that agree in role, limits and these claims. NULL = no memory. The caller gets a reference. What was
 * found is remembered in `who`. Keeps a reference to the model until it is called with another one. Claims that
 * cannot be read stay whole.
 */
struct hs_identity *api_callers_take(struct api_callers *callers, const struct api_model *model,
                                     struct hs_identity *who, uint64_t claims);

#endif
