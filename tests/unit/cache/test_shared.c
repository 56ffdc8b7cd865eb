/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The shared tier between two nodes: what one puts the other takes, if and only if it may. Redis is one value here,
 * handed to whoever asks, under whatever name: what is believed must not rest on where it lay.
 */
#include "cache/shared.h"
#include "cache/shared_value.h"
#include "cache/stream.h"
#include "core/hash.h"
#include "core/metric.h"
#include "fault.h"
#include "net/redis.h"

enum { CLIENTS = 16400, OTHER = 16300, GENERATION = 3, CATALOG = 77 };
#define NOW (100 * HS_SECOND)
#define WALL ((struct hs_wall){1767225600000000})
#define KEY HS_STR("clients member {\"company_id\":42}")
#define BODY HS_STR("{\"data\":[]}")

/* ---- Redis ---- */

struct net_redis {
    uint32_t magic;
};

static struct {
    struct net_redis redis;
    char *value;
    size_t n;
    char name[64];
    size_t name_n;
    hs_us ttl;
    bool is_down;
    net_redis_f *done;
    void *arg;
} fake;

hs_status net_redis_new(const struct net_redis_setup *setup, struct net_redis **ret_redis,
                        struct hs_err *reterr)
{
    (void)setup;
    (void)reterr;
    *ret_redis = &fake.redis;
    return HS_OK;
}

void net_redis_free(struct net_redis *redis)
{
    (void)redis;
}

bool net_redis_get(struct net_redis *redis, struct hs_str key, net_redis_f *done, void *arg)
{
    (void)redis;
    assert_true(key.n < sizeof(fake.name));
    memcpy(fake.name, key.p, key.n);
    fake.name_n = key.n;
    fake.done = done;
    fake.arg = arg;
    return !fake.is_down;
}

bool net_redis_set(struct net_redis *redis, struct hs_str key, struct hs_str value, hs_us ttl)
{
    (void)redis;
    if (fake.is_down)
        return false;
    free(fake.value);
    fake.value = malloc(value.n);
    assert_non_null(fake.value);
    memcpy(fake.value, value.p, value.n);
    fake.n = value.n;
    memcpy(fake.name, key.p, key.n);
    fake.name_n = key.n;
    fake.ttl = ttl;
    return true;
}

static void fake_clear(void)
{
    free(fake.value);
    memset(&fake, 0, sizeof(fake));
}

/* ---- a node ---- */

struct node {
    struct stream stream;
    struct cache_state *state;
    struct cache_store *store;
    struct cache_shared *shared;
    uint32_t table;
    uint32_t shape;
    struct cache_tag tags[2];
    hs_us now;
    struct hs_wall wall;
    uint64_t catalog;
    struct cache_token token;
    /* of the last get: */
    struct cache_shared_get get;
    struct cache_flight *flight;
    struct cache_entry *entry;
};

static struct hs_metrics *metrics;

static void on_got(struct cache_shared_get *get, struct hs_str value)
{
    struct node *node = HS_CONTAINER(get, struct node, get);
    const struct cache_shared_reader reader = {.catalog = node->catalog,
                                               .token = node->token,
                                               .ttl_max = 60 * HS_SECOND,
                                               .now = node->now,
                                               .wall = node->wall,
                                               .route = 5};

    node->entry = cache_shared_take(node->shared, node->flight, value, &reader);
}

/* The feed of the node told all up to `position`, and it is visible and proven. */
static void node_reach(struct node *node, uint64_t position)
{
    cache_feed_position(node->state, position);
    cache_feed_fence(node->state, position);
    cache_feed_proof(node->state, node->now);
}

static void node_make_tags(struct node *node)
{
    node->shape = stream_shape(&node->stream, node->table, "company", "status");
    if (node->shape != CACHE_NO_INDEX)
        node->tags[0] = stream_tag(&node->stream, node->shape, "42", "A");
}

static void node_begin(struct node *node, uint64_t begun, bool knows_shape)
{
    cache_feed_begin(node->state, STREAM_EPOCH, begun);
    cache_feed_table(node->state, CLIENTS, NULL, 0, begun);
    cache_feed_table(node->state, OTHER, NULL, 0, begun);
    node->table = cache_table(node->state, CLIENTS);
    if (knows_shape)
        node_make_tags(node);
    cache_feed_catalog(node->state, node->now);
    cache_feed_poll(node->state, GENERATION, node->now);
    node_reach(node, begun);
    if (knows_shape)
        node_make_tags(node);
}

static bool node_open(struct node *node, struct hs_str secret, bool is_second)
{
    struct cache_state_setup state = stream_setup(&node->stream);
    struct cache_store_setup store = {
        .bytes_max = 1 << 20, .entries_max = 100, .entry_max = 1 << 16};
    struct cache_shared_setup shared = {.metrics = metrics, .entry_max = 1 << 16};
    struct hs_err err;

    *node = (struct node){.now = NOW, .wall = WALL, .catalog = CATALOG};
    state.wake_ctx = &node->stream;
    if (cache_state_new(&state, &node->state, &err))
        return false;
    node->stream.state = node->state;
    store.state = shared.state = node->state;
    stream_describe(&node->stream, CLIENTS, "ic");
    if (is_second)
        (void)cache_table(node->state, OTHER); /* other numbers for the same tables */
    return !cache_store_new(&store, &node->store, &err) &&
           !cache_shared_new(&shared, &node->shared, &err) &&
           !cache_shared_set_secret(node->shared, secret, &err);
}

static void node_close(struct node *node)
{
    cache_shared_free(node->shared);
    cache_store_free(node->store);
    cache_state_free(node->state);
}

static struct cache_ask node_ask(const struct node *node)
{
    return (struct cache_ask){.key = KEY,
                              .hash = hs_hash(KEY),
                              .generation = GENERATION,
                              .tags = node->tags,
                              .n_tags = 1,
                              .now = node->now};
}

/* false: no memory. */
static bool node_lead(struct node *node)
{
    const struct cache_ask ask = node_ask(node);
    enum cache_why why;

    return cache_get(node->store, &ask, NULL, &node->entry, &node->flight, &why) == CACHE_LEAD;
}

/* Fills from the database and puts. */
static bool node_fill(struct node *node)
{
    const struct cache_answer answer = {.content_type = HS_STR("application/json"),
                                        .headers = HS_STR("Vary: Accept\r\n"),
                                        .etag = HS_STR("\"e\""),
                                        .body = BODY,
                                        .ttl = 10 * HS_SECOND,
                                        .epoch = STREAM_EPOCH};
    struct cache_entry *entry;

    if (!node_lead(node))
        return false;
    entry = cache_fill_kept(node->flight, &answer, node->now);
    if (!entry)
        return false;
    cache_shared_put(node->shared, entry, node->catalog, node->now, node->wall);
    cache_entry_unref(entry);
    return fake.value != NULL;
}

/* Asks Redis, which answers with these bytes. false: no memory; else node->entry says what came of it. */
static bool node_ask_for(struct node *node, const char *value, size_t n)
{
    node->entry = NULL;
    node->get = (struct cache_shared_get){.catalog = node->catalog, .done = on_got};
    if (!node_lead(node))
        return false;
    if (!cache_shared_get(node->shared, node->flight, &node->get)) {
        cache_drop(node->flight, /* is_unfit= */ false);
        return false;
    }
    fake.done(fake.arg, value ? NET_REDIS_VALUE : NET_REDIS_NONE, hs_strn(value, n));
    if (!node->entry)
        cache_drop(node->flight, /* is_unfit= */ false);
    return true;
}

static bool node_takes(struct node *node)
{
    bool is_taken;

    assert_true(node_ask_for(node, fake.value, fake.n));
    is_taken = node->entry != NULL;
    cache_entry_unref(node->entry);
    return is_taken;
}

static uint64_t counted(enum hs_metric_id id)
{
    uint64_t n = atomic_load(&metrics->value[id]);

    hs_metric_set(metrics, id, 0);
    return n;
}

#define SECRET HS_STR("the secret that all nodes share.")

struct pair {
    struct node a, b;
};

/* Both feeds are at 200; A has kept and put the answer, with fence 200. */
static void open_pair(struct pair *pair)
{
    struct node *nodes[] = {&pair->a, &pair->b};

    fake_clear();
    for (size_t i = 0; i < HS_LEN(nodes); i++) {
        assert_true(node_open(nodes[i], SECRET, i == 1));
        node_begin(nodes[i], 100, true);
        stream_insert(&nodes[i]->stream, "0,none,none,", 150); /* now the companion is known */
        node_reach(nodes[i], 200);
        node_make_tags(nodes[i]);
    }
    assert_true(node_fill(&pair->a));
    for (size_t i = 0; i < HS_M_COUNT; i++)
        hs_metric_set(metrics, (enum hs_metric_id)i, 0);
}

static void close_pair(struct pair *pair)
{
    node_close(&pair->a);
    node_close(&pair->b);
    fake_clear();
}

/* ---- tests ---- */

static void taken(void **unused)
{
    struct pair pair;

    (void)unused;
    open_pair(&pair);
    assert_int_equal(fake.ttl, 10 * HS_SECOND);
    assert_int_equal(fake.name_n, sizeof("hasten:") - 1 + 32);
    pair.b.wall.us += 4000000;
    assert_true(node_ask_for(&pair.b, fake.value, fake.n));
    assert_non_null(pair.b.entry);
    assert_str(cache_entry_body(pair.b.entry), BODY);
    assert_str(cache_entry_headers(pair.b.entry), HS_STR("Vary: Accept\r\n"));
    assert_str(cache_entry_etag(pair.b.entry), HS_STR("\"e\""));
    assert_str(cache_entry_content_type(pair.b.entry), HS_STR("application/json"));
    assert_int_equal(pair.b.entry->moment.fence, 200);
    assert_int_equal(pair.b.entry->moment.generation, GENERATION);
    assert_int_equal(pair.b.entry->expires_at, pair.b.now + 6 * HS_SECOND);
    cache_entry_unref(pair.b.entry);
    assert_non_null((pair.b.entry = cache_peek(pair.b.store, KEY, hs_hash(KEY))));
    cache_entry_unref(pair.b.entry);
    assert_int_equal(counted(HS_M_SHARED_HITS), 1);
    close_pair(&pair);
}

static void absent(void **unused)
{
    struct pair pair;

    (void)unused;
    open_pair(&pair);
    assert_true(node_ask_for(&pair.b, NULL, 0));
    assert_null(pair.b.entry);
    assert_int_equal(counted(HS_M_SHARED_MISSES), 1);
    fake.is_down = true;
    assert_false(node_ask_for(&pair.b, fake.value, fake.n));
    close_pair(&pair);
}

/* One byte changed, wherever it is; one missing; one too many; nothing. */
static void not_believed(void **unused)
{
    struct pair pair;
    char *longer;

    (void)unused;
    open_pair(&pair);
    for (size_t i = 0; i < fake.n; i++) {
        fake.value[i] ^= 0x10;
        assert_false(node_takes(&pair.b));
        fake.value[i] ^= 0x10;
    }
    for (size_t n = 0; n < fake.n; n++) {
        assert_true(node_ask_for(&pair.b, fake.value, n));
        assert_null(pair.b.entry);
    }
    longer = calloc(1, 1 << 20);
    memcpy(longer, fake.value, fake.n);
    assert_true(node_ask_for(&pair.b, longer, fake.n + 1));
    assert_null(pair.b.entry);
    assert_true(node_ask_for(&pair.b, longer, 1 << 20));
    assert_null(pair.b.entry);
    free(longer);
    assert_int_equal(counted(HS_M_SHARED_REFUSED_MAC), 2 * fake.n + 2);
    assert_true(node_takes(&pair.b));
    close_pair(&pair);
}

static void other_secret(void **unused)
{
    struct pair pair;
    char name[64];

    (void)unused;
    open_pair(&pair);
    memcpy(name, fake.name, fake.name_n);
    assert_int_equal(cache_shared_set_secret(pair.b.shared, HS_STR("another"), NULL), HS_OK);
    assert_false(node_takes(&pair.b));
    assert_int_equal(counted(HS_M_SHARED_REFUSED_MAC), 1);
    assert_memory_not_equal(name, fake.name, fake.name_n);
    close_pair(&pair);
}

/* The right bytes under the wrong name: of another catalog, another epoch, another key. */
static void moved(void **unused)
{
    struct pair pair;

    (void)unused;
    open_pair(&pair);
    pair.b.catalog++;
    assert_false(node_takes(&pair.b));
    pair.b.catalog--;
    cache_feed_begin(pair.b.state, STREAM_EPOCH + 1, 100);
    cache_feed_table(pair.b.state, CLIENTS, NULL, 0, 100);
    cache_feed_poll(pair.b.state, GENERATION, pair.b.now);
    node_reach(&pair.b, 200);
    assert_false(node_takes(&pair.b));
    assert_int_equal(counted(HS_M_SHARED_REFUSED_EPOCH), 2);
    close_pair(&pair);
}

static void other_key(void **unused)
{
    struct pair pair;
    struct cache_ask ask;
    enum cache_why why;

    (void)unused;
    open_pair(&pair);
    ask = node_ask(&pair.b);
    ask.key = HS_STR("clients member {\"company_id\":43}");
    pair.b.get = (struct cache_shared_get){.catalog = CATALOG, .done = on_got};
    assert_int_equal(cache_get(pair.b.store, &ask, NULL, &pair.b.entry, &pair.b.flight, &why),
                     CACHE_LEAD);
    assert_true(cache_shared_get(pair.b.shared, pair.b.flight, &pair.b.get));
    fake.done(fake.arg, NET_REDIS_VALUE, hs_strn(fake.value, fake.n));
    assert_null(pair.b.entry);
    cache_drop(pair.b.flight, false);
    assert_int_equal(counted(HS_M_SHARED_REFUSED_EPOCH), 1);
    close_pair(&pair);
}

/* This node's own stamps decide, and they may know of more than the other did. */
static void stamped(void **unused)
{
    struct pair pair;

    (void)unused;
    open_pair(&pair);
    stream_update(&pair.b.stream, NULL, "1,43,A,", 210); /* another company's */
    node_reach(&pair.b, 210);
    node_make_tags(&pair.b);
    assert_true(node_takes(&pair.b));
    (void)cache_purge(pair.b.store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    stream_update(&pair.b.stream, NULL, "1,42,B,", 220);
    node_reach(&pair.b, 220);
    assert_false(node_takes(&pair.b));
    assert_int_equal(counted(HS_M_SHARED_REFUSED_RULE), 1);
    close_pair(&pair);
}

/* The reader brings a token that the feed has not passed; the proof is too old. */
static void not_now(void **unused)
{
    struct pair pair;

    (void)unused;
    open_pair(&pair);
    pair.b.token = (struct cache_token){STREAM_EPOCH, 300};
    assert_false(node_takes(&pair.b));
    pair.b.token = (struct cache_token){0, 0};
    pair.b.now += 2 * HS_SECOND;
    assert_false(node_takes(&pair.b));
    assert_int_equal(counted(HS_M_SHARED_REFUSED_RULE), 2);
    close_pair(&pair);
}

static void expired(void **unused)
{
    struct pair pair;

    (void)unused;
    open_pair(&pair);
    pair.b.wall.us += 10000000;
    assert_false(node_takes(&pair.b));
    pair.b.wall.us = INT64_MIN; /* a clock that is far behind: our own ceiling holds */
    assert_true(node_ask_for(&pair.b, fake.value, fake.n));
    assert_int_equal(pair.b.entry->expires_at, pair.b.now + 60 * HS_SECOND);
    cache_entry_unref(pair.b.entry);
    close_pair(&pair);
}

/* shape_unknown: the value's shape is not known here. It is refused, and known from then on. */
static void unknown_shape(void **unused)
{
    struct pair pair;
    struct node c;

    (void)unused;
    open_pair(&pair);
    assert_true(node_open(&c, SECRET, true));
    node_begin(&c, 100, false);
    node_reach(&c, 200);
    c.tags[0] = cache_tag_table(c.state, c.table); /* its own tag is the whole table */
    assert_false(node_takes(&c));
    assert_int_equal(counted(HS_M_SHARED_REFUSED_RULE), 1);
    node_reach(&c, 210);
    assert_false(node_takes(&c)); /* its floor is 210 now */
    node_reach(&pair.a, 220);
    (void)cache_purge(pair.a.store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    assert_true(node_fill(&pair.a));
    node_reach(&c, 220);
    assert_true(node_takes(&c));
    node_close(&c);
    close_pair(&pair);
}

/*
 * A companion that is known there and not here: the tag is judged without. One that is known here and not there:
 * the tags cannot be compared, unless this node has tags of its own for the same rows.
 */
static void other_companion(void **unused)
{
    struct pair pair;
    struct node c;

    (void)unused;
    open_pair(&pair);
    assert_true(node_open(&c, SECRET, true));
    node_begin(&c, 100, true);
    node_reach(&c, 200);
    assert_int_equal(c.tags[0].companion_columns, 0);
    assert_true(node_takes(&c));
    (void)cache_purge(c.store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    c.tags[1] = c.tags[0];
    c.tags[0] = cache_tag_table(c.state, c.table);
    assert_true(node_takes(&c));
    (void)cache_purge(c.store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    c.tags[0] = c.tags[1];
    assert_true(node_fill(&c));
    (void)cache_purge(pair.b.store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    pair.b.tags[1] = pair.b.tags[0];
    pair.b.tags[0] = cache_tag_table(pair.b.state, pair.b.table);
    assert_false(node_takes(&pair.b));
    pair.b.tags[0] = pair.b.tags[1];
    assert_true(node_takes(&pair.b));
    node_close(&c);
    close_pair(&pair);
}

/* l2_floor: this feed began behind the answer. */
static void began_later(void **unused)
{
    struct pair pair;
    struct node c;

    (void)unused;
    open_pair(&pair);
    assert_true(node_open(&c, SECRET, false));
    node_begin(&c, 201, true);
    assert_false(node_takes(&c));
    assert_int_equal(counted(HS_M_SHARED_REFUSED_RULE), 1);
    node_close(&c);
    close_pair(&pair);
}

/* The catalog changed and changed back: what was asked in between looks the same and is not. */
static void catalog_came_back(void **unused)
{
    struct pair pair;

    (void)unused;
    open_pair(&pair);
    pair.b.now += 1000;
    cache_feed_catalog(pair.b.state, pair.b.now);
    cache_feed_poll(pair.b.state, GENERATION, pair.b.now);
    assert_false(node_takes(&pair.b)); /* not known yet since when */
    cache_feed_position(pair.b.state, 250);
    cache_feed_proof(pair.b.state, pair.b.now - 1); /* a sample from before: proves nothing of it */
    assert_int_equal(cache_catalog_floor(pair.b.state), CACHE_NEVER);
    node_reach(&pair.b, 250);
    assert_int_equal(cache_catalog_floor(pair.b.state), 250);
    assert_false(node_takes(&pair.b));
    assert_int_equal(counted(HS_M_SHARED_REFUSED_RULE), 2);
    node_reach(&pair.a, 250);
    (void)cache_purge(pair.a.store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    assert_true(node_fill(&pair.a));
    assert_true(node_takes(&pair.b));
    close_pair(&pair);
}

static void purged(void **unused)
{
    struct pair pair;

    (void)unused;
    open_pair(&pair);
    cache_purge_shared(pair.b.store, (struct hs_wall){pair.b.wall.us + 1});
    assert_false(node_takes(&pair.b));
    pair.a.wall.us += 1;
    (void)cache_purge(pair.a.store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    assert_true(node_fill(&pair.a));
    assert_true(node_takes(&pair.b));
    close_pair(&pair);
}

static bool scenario(void *arg)
{
    struct node a;
    struct node b = {.state = NULL};
    bool done;

    (void)arg;
    fake_clear();
    done = node_open(&a, SECRET, false) && node_open(&b, SECRET, true);
    if (done) {
        node_begin(&a, 100, true);
        node_begin(&b, 100, true);
        done = a.shape != CACHE_NO_INDEX && b.shape != CACHE_NO_INDEX;
    }
    done = done && node_fill(&a) && node_ask_for(&b, fake.value, fake.n) && b.entry;
    if (b.state)
        cache_entry_unref(b.entry);
    node_close(&a);
    if (b.state || b.shared)
        node_close(&b);
    fake_clear();
    return done;
}

static void no_memory(void **unused)
{
    (void)unused;
    fault_each(scenario, NULL);
}

/* ---- the codec ---- */

static void codec(void **unused)
{
    struct shared_value in = {.epoch = 1,
                              .fence = UINT64_MAX,
                              .catalog = 3,
                              .stored_at = {-4},
                              .expires_at = {5},
                              .key = HS_STR("k"),
                              .headers = HS_STR("hh"),
                              .etag = HS_STR("eee"),
                              .content_type = HS_STR("cccc"),
                              .body = HS_STR("bbbbb"),
                              .n_tags = 2,
                              .tags = {{.oid = 6, .hash = 7},
                                       {.oid = 8,
                                        .hash = 9,
                                        .companion = 10,
                                        .companion_columns = 1,
                                        .n_columns = 2,
                                        .columns = {HS_STR("a"), HS_STR("b")}}}};
    struct shared_value out;
    struct hs_buf buf;

    (void)unused;
    hs_buf_init(&buf, 1 << 16);
    assert_true(shared_value_write(&in, &buf));
    assert_true(shared_value_read(hs_buf_str(&buf), &out));
    assert_int_equal(out.epoch, 1);
    assert_true(out.fence == UINT64_MAX);
    assert_int_equal(out.catalog, 3);
    assert_int_equal(out.stored_at.us, -4);
    assert_int_equal(out.expires_at.us, 5);
    assert_str(out.key, in.key);
    assert_str(out.headers, in.headers);
    assert_str(out.etag, in.etag);
    assert_str(out.content_type, in.content_type);
    assert_str(out.body, in.body);
    assert_int_equal(out.n_tags, 2);
    assert_int_equal(out.tags[0].n_columns, 0);
    assert_int_equal(out.tags[1].companion_columns, 1);
    assert_str(out.tags[1].columns[1], HS_STR("b"));
    for (size_t n = 0; n < buf.n; n++)
        assert_false(shared_value_read(hs_strn(buf.p, n), &out));
    hs_buf_add_char(&buf, 'x');
    assert_false(shared_value_read(hs_buf_str(&buf), &out));
    hs_buf_clear(&buf);
    in.tags[1].columns[0] = HS_STR("c"); /* not in order */
    assert_true(shared_value_write(&in, &buf));
    assert_false(shared_value_read(hs_buf_str(&buf), &out));
    hs_buf_clear(&buf);
    in.tags[1].n_columns = CACHE_COLUMNS_MAX + 1;
    assert_false(shared_value_write(&in, &buf));
    hs_buf_fini(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken),           cmocka_unit_test(absent),
        cmocka_unit_test(not_believed),    cmocka_unit_test(other_secret),
        cmocka_unit_test(moved),           cmocka_unit_test(other_key),
        cmocka_unit_test(stamped),         cmocka_unit_test(not_now),
        cmocka_unit_test(expired),         cmocka_unit_test(unknown_shape),
        cmocka_unit_test(other_companion), cmocka_unit_test(began_later),
        cmocka_unit_test(purged),          cmocka_unit_test(catalog_came_back),
        cmocka_unit_test(codec),           cmocka_unit_test(no_memory),
    };

    metrics = hs_metrics_new();
    return metrics ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
