/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rest/model.h - what the PostgREST dialect knows of a catalog: fields by name, and relationships.
 *
 * Relationships are found as PostgREST finds them: from each foreign key one in either direction, the same
 * for every view that shows the key's columns (with each combination of columns where a view shows one
 * twice), across junctions whose foreign keys are part of their primary key, and by functions that take a row
 * of one relation and give rows of another, which stand before what they hide. Origin and target are of one
 * schema; a junction may be of any exposed one.
 *
 * Lifetime   process: built once per model by the control thread, never changed after; it hangs on the
 *            api_model, whose reference to the catalog keeps alive what it points to.
 * Limits     REST_MODEL_BYTES_MAX, REST_KEYS_OF_VIEW_MAX.
 * Source     PostgREST reference: resource embedding; schema cache.
 */
#ifndef REST_MODEL_H
#define REST_MODEL_H

#include "api/api.h"
#include "api/tree.h"

enum {
    REST_MODEL_BYTES_MAX = 256 << 20,
    REST_KEYS_OF_VIEW_MAX = 256 /* combinations of one view's columns for one key */
};

/* In the order in which choices are listed. */
enum rest_cardinality {
    REST_ONE_TO_MANY,
    REST_MANY_TO_ONE,
    REST_ONE_TO_ONE,
    REST_MANY_TO_MANY,
    REST_COMPUTED
};

struct rest_relationship {
    enum rest_cardinality cardinality;
    uint32_t rank; /* its position among those of its origin */
    const struct pg_relation *from;
    const struct pg_relation *to;
    struct hs_str constraint;       /* COMPUTED: empty. MANY_TO_MANY: the junction's, to `from` */
    struct hs_str constraint_there; /* MANY_TO_MANY: the junction's, to `to` */
    struct tree_join join;
    bool is_self;
    bool is_many;
    bool is_inverse; /* ONE_TO_ONE: the foreign key is that of `to` */
    bool from_is_view;
    bool to_is_view;
};

/* A name by which a relationship may be called, from its origin. */
struct rest_choice {
    struct hs_str name;
    const struct rest_relationship *relationship;
};

struct rest_relation {
    const struct pg_relation *pg;
    const struct tree_field *fields;     /* one a column, in the catalog's order */
    const struct tree_field *const *all; /* the same, as a list of fields */
    const struct tree_field *const *by_name;
    const struct rest_relationship *const
        *relationships; /* in the order in which choices are listed */
    size_t n_relationships;
    const struct rest_choice *choices; /* sorted by name, then in the order of relationships */
    size_t n_choices;
    /* The primary key; of a view that of the tables behind it, where it shows it. */
    const struct pg_column *const *key;
    size_t n_key;
};

struct rest_model;

/*
 * Builds it from the model's catalog and hangs it on the model, which owns it then.
 *   errors  HS_E_MEMORY
 */
hs_status rest_model_attach(struct api_model *model, struct hs_err *reterr) hs_must_check;
/* The same without an api_model: catalog must outlive it. Freed by rest_model_free(). */
hs_status rest_model_new(const struct pg_catalog *catalog, struct rest_model **ret_model,
                         struct hs_err *reterr) hs_must_check;
void rest_model_free(void *model);
/* NULL where none was attached. */
const struct rest_model *rest_model_of(const struct api_model *model);

const struct pg_catalog *rest_model_catalog(const struct rest_model *model);
/* relation: one of the catalog's; else NULL. */
const struct rest_relation *rest_model_relation(const struct rest_model *model,
                                                const struct pg_relation *relation);
/* What a row of the function looks like, which is one of the model's catalog. NULL: it gives none. */
const struct rest_relation *rest_model_row(const struct rest_model *model,
                                           const struct pg_function *function);
/* NULL if there is none. */
const struct tree_field *rest_relation_field(const struct rest_relation *relation,
                                             struct hs_str name);
/* The first of those of that name, and how many follow each other. NULL: none. */
const struct rest_choice *rest_relation_choices(const struct rest_relation *relation,
                                                struct hs_str name, size_t *ret_n);

#endif
