/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/depend_int.h - what the parts of api/depend.h share.
 */
#ifndef API_DEPEND_INT_H
#define API_DEPEND_INT_H

#include "api/depend.h"

/* ---- values (depend_value.c) ---- */

/*
 * Does a cast to it give the same from the same text or number whenever it is made? Of types of time it does not, nor
 * of names for objects (regclass), nor of a user's types.
 */
bool api_cast_is_fixed(const struct pg_type *to);
/*
 * The form in which PostgreSQL writes the value: equal values have one. false: not known, or not cheaply.
 * *ret_form is `text`, constant, or in the arena; the arena's failure counts as not known.
 */
bool api_value_form(const struct pg_type *type, struct hs_str text, struct hs_arena *arena,
                    struct hs_str *ret_form);
/*
 * The next element of an array literal as value_array() (api/value.h) writes it; *at begins at 0, and is
 * literal.n behind the last. ret_element->p == NULL: no more. false: another form, or no memory.
 */
bool api_value_next(struct hs_str literal, char delim, size_t *at, struct hs_arena *arena,
                    struct hs_str *ret_element);

/* ---- claims (callers.c) ---- */

enum { API_CLAIMS_MAX = 64 }; /* of a catalog: each has a bit */

/*
 * The texts of the catalog's claims, as they stand in the JSON object `json`; p == NULL: it has none of that
 * name. false: it cannot be read (nested too deeply, a name too long).
 *   ret_texts  catalog->n_claims of them
 */
bool api_claims_read(const struct pg_catalog *catalog, struct hs_str json,
                     struct hs_str *ret_texts);

/* ---- tags (depend_tags.c) ---- */

/* What is being found out, and for whom. */
struct depend_work {
    const struct api_model *model;
    const struct hs_identity *who;
    struct cache_state *state;
    struct hs_arena *arena;
    struct api_depend *to;
    uint64_t reader;       /* the role's bit */
    bool is_coarse;        /* whole tables only */
    bool is_full;          /* there were more than API_TAGS_MAX tags */
    struct hs_str *claims; /* of the caller, by position in the catalog; NULL = not read yet */
    bool has_all_claims;   /* they were read from all that the caller has */
};

enum { DEPEND_PINS_MAX = 16, DEPEND_LIST_MAX = 16 };

/* A column that has one of these values in every row that the answer is made of. */
struct depend_pin {
    const struct pg_column *column;
    struct hs_str value;
    bool is_list; /* the values of the pins' list */
};

/* Beyond the maxima, what would narrow the tags further is left out. */
struct depend_pins {
    struct depend_pin of[DEPEND_PINS_MAX];
    size_t n;
    size_t n_policy; /* the first ones are those of policies */
    struct hs_str list[DEPEND_LIST_MAX];
    size_t n_list; /* 0 = no list yet */
};

/* Those of the relation's policies; the first to be called. */
void depend_pin_policies(struct depend_work *w, const struct pg_relation *relation,
                         struct depend_pins *pins);
/* column = value; a value without a known form pins nothing. */
void depend_pin_value(struct depend_work *w, const struct pg_column *column, struct hs_str value,
                      struct depend_pins *pins);
/* Those of the filters that must all hold. */
void depend_pin_filters(struct depend_work *w, const struct tree_node *where,
                        struct depend_pins *pins);
/* All rows of the tables that are read. */
void depend_add_tables(struct depend_work *w, const struct pg_depend *reads);
/* Adds the tags of all that a SELECT from the relation reads; of itself, the rows with these pins. */
void depend_add_relation(struct depend_work *w, const struct pg_relation *relation,
                         const struct depend_pins *pins);

/* Not known, and why; the first reason stays. */
void depend_fail(struct depend_work *w, const char *why);
void depend_fail_at(struct depend_work *w, const char *before, struct hs_str name,
                    const char *behind);

#endif
