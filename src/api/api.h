/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api/api.h - tables as HTTP: the simple dialect's handler and the index page.
 *
 * A request becomes a query tree (checked against the model), the tree becomes one SQL statement, its
 * rows become JSON. The model is what the catalog looks like from outside: names, relations, search.
 *
 * Threads    api_model is immutable and counted atomically (built by the control thread, mailed to each
 *            worker); api_worker belongs to its worker.
 */
#ifndef API_API_H
#define API_API_H

#include "http/req.h"
#include "pg/catalog.h"
#include "pg/pool.h"

struct api_model;
struct api_worker;
struct cache_shared;
struct cache_state;
struct cache_store;

/* database.comment, in the order of its words. */
enum api_comment { API_COMMENT_NONE, API_COMMENT_ROUTE, API_COMMENT_REQUEST };

/* What holds for every request: the options of the same names under `api`. */
struct api_rules {
    uint64_t limit_default; /* above limit_max: limit_max */
    uint64_t limit_max;
    uint64_t page_depth_max;
    uint64_t filters_max;
    uint64_t in_max;
    uint64_t include_rows_max;
    bool camel_names;            /* api.names */
    bool int8_as_string;         /* api.int8 */
    uint64_t rows_max;           /* of one request's body, api.body.rows_max */
    hs_us idempotency_keep;      /* api.idempotency.keep */
    uint64_t batch_max;          /* requests of one batch, api.batch.max */
    hs_us batch_transaction_max; /* api.batch.transaction_max */
    uint64_t stream_max;         /* api.stream.max */
    hs_us stream_lifetime;       /* api.stream.lifetime */
    uint64_t stream_rate_min;    /* bytes a second, api.stream.rate_min; 0 = no bound */
    uint64_t anonymous_cost_max; /* api.anonymous.cost_max; 0 = no bound */
    enum api_comment comment;
    hs_us ttl_list; /* cache.ttl.*; 0 = not kept */
    hs_us ttl_item;
    hs_us ttl_user;
    hs_us ttl_analytics;
    hs_us write_wait;     /* cache.write_wait */
    bool honour_requests; /* cache.honour_requests */
    bool serves_stale;    /* cache.stale_if_error; how old is the store's to judge */
    struct api_compress {
        bool enabled;
        uint64_t min; /* bytes of the body */
        uint64_t inline_max;
        unsigned level;
        bool uncached;
    } compress; /* server.compress.* */
};

struct named_source;

struct api_setup {
    struct hs_str path; /* api.path */
    struct api_rules rules;
    const struct hs_str *search; /* api.search rows */
    size_t n_search;
    const struct hs_str *relations; /* api.relations rows */
    size_t n_relations;
    const struct hs_str *soft_delete; /* api.soft_delete.tables rows */
    size_t n_soft_delete;
    const struct hs_str *soft_delete_roles; /* api.soft_delete.roles */
    size_t n_soft_delete_roles;
    const struct hs_str *cache_tables; /* cache.tables rows */
    size_t n_cache_tables;
    char cursor_key[32];
    const struct named_source *named; /* files of named queries, api.queries */
    size_t n_named;
    uint64_t
        generation; /* of the cache's catalog, read before the catalog was; 0 without a cache */
};

/*
 * Makes the model and registers its routes with the metrics. Takes its own reference to the catalog and
 * copies what it needs of setup.
 *   errors  HS_E_CONFIG: two columns with one camelCase name; a relation or search row that names
 *           something that does not exist (the row is quoted)
 */
hs_status api_model_new(const struct api_setup *setup, struct pg_catalog *catalog,
                        struct api_model **ret_model, struct hs_err *reterr) hs_must_check;
struct api_model *api_model_ref(struct api_model *model);
void api_model_unref(struct api_model *model);
/* Has it a table that POST {api.path}/batch hides? */
bool api_batch_hides(const struct api_model *model);

/*
 * Hangs what another dialect has made of the same catalog on a model that is not mailed yet; it is freed with the
 * model, by the thread that lets go of it last.
 */
void api_model_attach(struct api_model *model, void *object, void (*free_object)(void *object));
/* NULL if there is none. */
void *api_model_attached(const struct api_model *model);
const struct pg_catalog *api_model_catalog(const struct api_model *model);

/* What all workers share of the cache. */
struct api_cache {
    struct cache_state *state;
    struct cache_store *store;
};

/* cache: outlives the worker; NULL = nothing is kept. */
hs_status api_worker_new(struct net_loop *loop, struct pg_pool *pool, const struct api_cache *cache,
                         struct api_worker **ret_worker, struct hs_err *reterr) hs_must_check;
/* Answers are shared with other nodes there from now on. Ended before the worker is. */
void api_worker_set_shared(struct api_worker *worker, struct cache_shared *shared);
/* Takes over the reference. Requests under way keep the model they began with. */
void api_worker_set_model(struct api_worker *worker, struct api_model *model);
/* Was a model published to it? */
bool api_worker_has_model(const struct api_worker *worker);
void api_worker_free(struct api_worker *worker);

/* ctx: struct api_worker. Before the first model: 503. */
extern const struct http_handler api_table_handler; /* prefix route at api.path */
extern const struct http_handler
    api_index_handler; /* "/": what is served here, HTML or JSON by Accept */

#endif
