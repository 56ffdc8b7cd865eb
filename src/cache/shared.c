/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     cache_get() leads ──▶ name = HMAC(epoch, catalog, key) ──▶ Redis ──▶ MAC? whole key? epoch? catalog?
 *                                                                              │ the rule, here and now
 *                              another node's fence becomes the entry's ◀──────┘
 *
 * Why an answer of another node can be judged here: positions mean the same on all nodes of an epoch, and the same
 * key under the same catalog depends on the same rows, whose tags this node has derived by itself (the flight's).
 * Those are judged. The value's own tags are judged, too, where they say something else: a node may have been out
 * of room for a shape. A shape that was unknown here is registered by that, and covers nothing yet.
 *
 * The catalog is compared by digest, for generations are counted by each process for itself. A digest can
 * come back (a GRANT that is taken back), a generation cannot; so the fence must be at or behind the position from
 * which this node's present generation is known to hold (cache_catalog_floor).
 *
 * The MAC is not against accidents alone: who can write to Redis must not be able to make an answer.
 */
#include "cache/shared.h"

#include "cache/shared_value.h"
#include "cache/state_int.h"
#include "cache/store_int.h"
#include "core/mem.h"
#include "core/metric.h"
#include "net/crypto.h"
#include "net/redis.h"

enum {
    NAME_DIGEST = 16,
    NAME_DIGITS = 32,
    NAME_MAX = sizeof("hasten:") - 1 + NAME_DIGITS,
    /* Beside an entry's own bytes: 64 tags with 8 names each, numbers, MAC. */
    VALUE_OVERHEAD = 64 * 1024,
    /* Values on their way to Redis, in longest values: what comes beyond is not put. */
    QUEUED_VALUES = 4,
    /* The first byte of what is hashed: a name is no MAC, and SHARED_VERSION is another byte. */
    OF_NAME = 0
};

/* Longer than any cache.ttl.*; keeps sums of times within their type. */
#define TTL_MAX ((hs_us)400 * 86400 * HS_SECOND)

struct cache_shared {
    struct cache_state *state;
    struct hs_metrics *metrics;
    struct net_redis *redis;
    struct net_hmac *hmac; /* NULL: no secret yet */
    size_t value_max;
    struct hs_buf scratch;
};

/* ---- life ---- */

hs_status cache_shared_new(const struct cache_shared_setup *setup, struct cache_shared **ret_shared,
                           struct hs_err *reterr)
{
    struct cache_shared *shared = hs_calloc(1, sizeof(*shared));
    const size_t value_max = setup->entry_max + VALUE_OVERHEAD;
    const struct net_redis_setup redis = {
        .loop = setup->loop,
        .metrics = setup->metrics,
        .url = setup->url,
        .timeout = setup->timeout,
        .retry_min = setup->retry_min,
        .retry_max = setup->retry_max,
        .inflight_max = setup->inflight_max,
        .bytes_max = (size_t)QUEUED_VALUES * value_max,
        .reply_max = value_max,
        .seed = setup->seed,
        .changed = setup->changed,
        .ctx = setup->ctx,
    };
    hs_status status;

    if (!shared)
        return hs_fail_memory(reterr);
    shared->state = setup->state;
    shared->metrics = setup->metrics;
    shared->value_max = value_max;
    hs_buf_init(&shared->scratch, value_max);
    status = net_redis_new(&redis, &shared->redis, reterr);
    if (status)
        cache_shared_free(shared);
    else
        *ret_shared = shared;
    return status;
}

void cache_shared_free(struct cache_shared *shared)
{
    if (!shared)
        return;
    net_redis_free(shared->redis);
    net_hmac_free(shared->hmac);
    hs_buf_fini(&shared->scratch);
    hs_free(shared);
}

hs_status cache_shared_set_secret(struct cache_shared *shared, struct hs_str secret,
                                  struct hs_err *reterr)
{
    unsigned char key[NET_SHA256];
    struct net_hmac *from;
    struct net_hmac *hmac = NULL;
    hs_status status = net_hmac_new(secret, &from, reterr);

    if (status)
        return status;
    if (net_hmac_sha256(from, HS_STR("hasten shared cache"), key))
        status = net_hmac_new(hs_strn((const char *)key, sizeof(key)), &hmac, reterr);
    else
        status = hs_fail_memory(reterr);
    net_hmac_free(from);
    if (status)
        return status;
    net_hmac_free(shared->hmac);
    shared->hmac = hmac;
    return HS_OK;
}

/* ---- names ---- */

static void add_bytes(struct hs_buf *out, uint64_t v)
{
    hs_buf_add(out, hs_strn((const char *)&v, sizeof(v)));
}

/* false: no secret, no memory. */
static bool make_name(struct cache_shared *shared, uint64_t epoch, uint64_t catalog,
                      struct hs_str key, char to[static NAME_MAX])
{
    static const char digits[] = "0123456789abcdef";
    struct hs_buf *scratch = &shared->scratch;
    unsigned char digest[NET_SHA256];
    size_t n = sizeof("hasten:") - 1;

    hs_buf_clear(scratch);
    hs_buf_add_char(scratch, OF_NAME);
    add_bytes(scratch, epoch);
    add_bytes(scratch, catalog);
    hs_buf_add(scratch, key);
    if (!shared->hmac || hs_buf_failed(scratch) ||
        !net_hmac_sha256(shared->hmac, hs_buf_str(scratch), digest))
        return false;
    memcpy(to, "hasten:", n);
    for (size_t i = 0; i < NAME_DIGEST; i++) {
        to[n++] = digits[digest[i] >> 4];
        to[n++] = digits[digest[i] & 15];
    }
    return true;
}

/* ---- tags ---- */

/* In words that other nodes understand. */
static void export_tag(const struct cache_state *state, const struct cache_tag *tag,
                       struct shared_tag *to)
{
    *to = (struct shared_tag){.oid = state->tables[tag->table].oid, .hash = tag->hash};
    if (tag->shape == CACHE_NO_INDEX)
        return;
    to->n_columns = state->shapes[tag->shape].n;
    for (size_t i = 0; i < to->n_columns; i++)
        to->columns[i] = state->shapes[tag->shape].columns[i];
    to->companion = tag->companion;
    to->companion_columns = tag->companion_columns;
}

/*
 * In this node's numbers; tables and shapes are registered. A node that knows of no companion here stamps the whole
 * shape where it would have stamped that, so the tag is as good without. false: beyond the limits.
 */
static bool import_tag(struct cache_state *state, const struct shared_tag *tag,
                       struct cache_tag *to)
{
    uint32_t table = cache_table(state, tag->oid);
    uint32_t shape = CACHE_NO_INDEX;
    uint32_t companion = 0;

    if (table == CACHE_NO_INDEX)
        return false;
    if (tag->n_columns) {
        shape = cache_shape(state, table, tag->columns, tag->n_columns);
        if (shape == CACHE_NO_INDEX)
            return false;
        companion = atomic_load_explicit(&state->shapes[shape].companion_columns,
                                         memory_order_acquire);
    }
    *to = (struct cache_tag){.hash = tag->hash, .table = table, .shape = shape};
    if (companion) {
        to->companion = tag->companion;
        to->companion_columns = tag->companion_columns;
    }
    return true;
}

static bool has_tag(const struct cache_flight *flight, const struct cache_tag *tag)
{
    for (size_t i = 0; i < flight->n_tags; i++) {
        const struct cache_tag *own = &flight->tags[i];

        if (own->table == tag->table && own->shape == tag->shape && own->hash == tag->hash)
            return true;
    }
    return false;
}

/* Those of the value's tags that the flight has not itself. false: one cannot be judged here. */
static bool other_tags(struct cache_state *state, const struct cache_flight *flight,
                       const struct shared_value *value, struct cache_tag *ret_tags, size_t *ret_n)
{
    *ret_n = 0;
    for (size_t i = 0; i < value->n_tags; i++) {
        if (!import_tag(state, &value->tags[i], &ret_tags[*ret_n]))
            return false;
        if (!has_tag(flight, &ret_tags[*ret_n]))
            (*ret_n)++;
    }
    return true;
}

/* ---- reading ---- */

static void on_value(void *arg, enum net_redis_outcome outcome, struct hs_str value)
{
    struct cache_shared_get *get = arg;

    get->done(get, outcome == NET_REDIS_VALUE ? value : HS_STR_NULL);
}

bool cache_shared_get(struct cache_shared *shared, const struct cache_flight *flight,
                      struct cache_shared_get *get)
{
    char name[NAME_MAX];

    return make_name(shared, flight->moment.epoch, get->catalog, flight->key, name) &&
           net_redis_get(shared->redis, hs_strn(name, sizeof(name)), on_value, get);
}

/* Cut off as it was too long, or not made by who knows the secret, or no value. */
static bool read_value(const struct cache_shared *shared, struct hs_str bytes,
                       struct shared_value *to)
{
    unsigned char mac[NET_SHA256];
    struct hs_str body;

    _Static_assert(sizeof(mac) == SHARED_MAC, "the length of a MAC");
    if (bytes.n < SHARED_MAC || bytes.n > shared->value_max || !shared->hmac)
        return false;
    body = hs_str_sub(bytes, 0, bytes.n - SHARED_MAC);
    return net_hmac_sha256(shared->hmac, body, mac) &&
           hs_str_eq_secret(hs_strn((const char *)mac, sizeof(mac)),
                            hs_str_sub(bytes, body.n, bytes.n)) &&
           shared_value_read(body, to);
}

static bool is_asked_for(const struct shared_value *value, const struct cache_flight *flight,
                         uint64_t catalog)
{
    return value->epoch == flight->moment.epoch && value->catalog == catalog &&
           value->stored_at.us >= atomic_load(&flight->store->shared_since) &&
           hs_str_eq(value->key, flight->key);
}

/* The clocks of two nodes meet here: a ceiling may be off by as much as they are, and is no more than ours. */
static hs_us time_left(const struct shared_value *value, const struct cache_shared_reader *reader)
{
    hs_us left;

    if (value->expires_at.us <= reader->wall.us)
        return 0;
    left = (hs_us)value->expires_at.us - (hs_us)reader->wall.us;
    return left < reader->ttl_max ? left : reader->ttl_max;
}

/* The view first, then the floor of the catalog, then stamps; cache_fill_shared() judges the flight's own tags. */
static bool obeys_rule(struct cache_shared *shared, const struct cache_flight *flight,
                       const struct shared_value *value, const struct cache_moment *moment,
                       const struct cache_shared_reader *reader)
{
    struct cache_tag tags[SHARED_TAGS_MAX];
    struct cache_view view;
    size_t n;

    if (!other_tags(shared->state, flight, value, tags, &n) ||
        !cache_may_hit(shared->state, reader->token, reader->now, &view))
        return false;
    return moment->fence >= cache_catalog_floor(shared->state) &&
           cache_is_valid(shared->state, &view, moment, tags, n);
}

/* As the two nodes' clocks have it. */
static hs_us age_of(const struct shared_value *value, const struct cache_shared_reader *reader)
{
    return value->stored_at.us < reader->wall.us
               ? (hs_us)reader->wall.us - (hs_us)value->stored_at.us
               : 0;
}

static struct cache_entry *fill(struct cache_flight *flight, const struct shared_value *value,
                                const struct cache_moment *moment, hs_us ttl,
                                const struct cache_shared_reader *reader)
{
    const struct cache_answer answer = {.content_type = value->content_type,
                                        .headers = value->headers,
                                        .etag = value->etag,
                                        .body = value->body,
                                        .ttl = ttl,
                                        .age = age_of(value, reader),
                                        .route = reader->route,
                                        .target = reader->target,
                                        .epoch = value->epoch};

    return cache_fill_shared(flight, &answer, moment, reader->token, reader->now);
}

struct cache_entry *cache_shared_take(struct cache_shared *shared, struct cache_flight *flight,
                                      struct hs_str bytes, const struct cache_shared_reader *reader)
{
    enum hs_metric_id outcome = HS_M_SHARED_REFUSED_RULE;
    struct cache_entry *entry = NULL;
    struct shared_value value;
    struct cache_moment moment;
    hs_us ttl;

    if (!bytes.p) {
        outcome = HS_M_SHARED_MISSES;
    } else if (!read_value(shared, bytes, &value)) {
        outcome = HS_M_SHARED_REFUSED_MAC;
    } else if (!is_asked_for(&value, flight, reader->catalog)) {
        outcome = HS_M_SHARED_REFUSED_EPOCH;
    } else {
        moment = (struct cache_moment){
            .epoch = value.epoch, .fence = value.fence, .generation = flight->moment.generation};
        ttl = time_left(&value, reader);
        if (ttl && obeys_rule(shared, flight, &value, &moment, reader))
            entry = fill(flight, &value, &moment, ttl, reader);
        if (entry)
            outcome = HS_M_SHARED_HITS;
    }
    hs_metric_add(shared->metrics, outcome, 1);
    return entry;
}

/* ---- writing ---- */

static bool write_value(struct cache_shared *shared, const struct shared_value *value)
{
    struct hs_buf *scratch = &shared->scratch;
    unsigned char mac[NET_SHA256];

    hs_buf_clear(scratch);
    if (!shared_value_write(value, scratch) ||
        !net_hmac_sha256(shared->hmac, hs_buf_str(scratch), mac))
        return false;
    hs_buf_add(scratch, hs_strn((const char *)mac, sizeof(mac)));
    return !hs_buf_failed(scratch);
}

void cache_shared_put(struct cache_shared *shared, const struct cache_entry *entry,
                      uint64_t catalog, hs_us now, struct hs_wall wall)
{
    const struct cache_tag *tags = cache_entry_tags(entry);
    const hs_us rest = entry->expires_at > now ? entry->expires_at - now : 0;
    const hs_us left = rest < TTL_MAX ? rest : TTL_MAX;
    struct shared_value value = {
        .epoch = entry->moment.epoch,
        .fence = entry->moment.fence,
        .catalog = catalog,
        .stored_at = wall,
        .expires_at = {wall.us + (int64_t)left},
        .key = cache_entry_key(entry),
        .headers = cache_entry_headers(entry),
        .etag = cache_entry_etag(entry),
        .content_type = cache_entry_content_type(entry),
        .body = cache_entry_body(entry),
        .n_tags = entry->n_tags,
    };
    char name[NAME_MAX];

    if (!left || entry->n_tags > SHARED_TAGS_MAX ||
        !make_name(shared, value.epoch, catalog, value.key, name))
        return;
    for (size_t i = 0; i < value.n_tags; i++)
        export_tag(shared->state, &tags[i], &value.tags[i]);
    if (write_value(shared, &value) && net_redis_set(shared->redis, hs_strn(name, sizeof(name)),
                                                     hs_buf_str(&shared->scratch), left))
        hs_metric_add(shared->metrics, HS_M_SHARED_PUT, 1);
}
