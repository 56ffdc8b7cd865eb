/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state: what each kind of change stamps, and no more; floors; epochs; barriers; bounds; lack of memory.
 */
#include "cache/stream.h"
#include "core/buf.h"
#include "fault.h"

enum { CLIENTS = 16400, ROOT = 16500, MIDDLE = 16501 };
#define NOW (100 * HS_SECOND)

static const struct cache_token no_token;

struct world {
    struct stream stream;
    struct cache_state *state;
    uint32_t table;
    uint32_t company; /* shapes */
    uint32_t pair;    /* company, status */
};

/* A feed that began at 100; both shapes have floor 100. */
static void open_world(struct world *world, const char *identity)
{
    struct cache_state_setup setup = stream_setup(&world->stream);

    *world = (struct world){.table = 0};
    setup.wake_ctx = &world->stream;
    assert_int_equal(cache_state_new(&setup, &world->state, NULL), HS_OK);
    world->stream.state = world->state;
    stream_describe(&world->stream, CLIENTS, identity);
    world->table = stream_begin(&world->stream);
    world->company = stream_shape(&world->stream, world->table, "company", NULL);
    world->pair = stream_shape(&world->stream, world->table, "company", "status");
    cache_feed_position(world->state, STREAM_BEGUN);
}

/* The stream describes the table, so that the companion is known; stamps nothing that a test looks at. */
static void open_described(struct world *world, const char *identity)
{
    open_world(world, identity);
    stream_insert(&world->stream, "0,none,none,", STREAM_BEGUN);
}

static void close_world(struct world *world)
{
    cache_state_free(world->state);
}

static uint64_t bar_company(struct world *world, const char *company)
{
    return cache_tag_bar(world->state, stream_tag(&world->stream, world->company, company, NULL));
}

static uint64_t bar_pair(struct world *world, const char *company, const char *status)
{
    return cache_tag_bar(world->state, stream_tag(&world->stream, world->pair, company, status));
}

static uint64_t bar_table(struct world *world)
{
    return cache_tag_bar(world->state, cache_tag_table(world->state, world->table));
}

/* ---- stamps ---- */

static void full_identity(void **unused)
{
    struct world w;

    (void)unused;
    open_described(&w, "icsn");
    stream_insert(&w.stream, "1,42,A,", 110);
    assert_int_equal(bar_company(&w, "42"), 110);
    assert_int_equal(bar_pair(&w, "42", "A"), 110);
    assert_int_equal(bar_pair(&w, "42", "B"), 100);
    assert_int_equal(bar_company(&w, "43"), 100);
    assert_int_equal(bar_table(&w), 110);
    stream_update(&w.stream, "1,42,A,", "1,43,B,", 120); /* both places */
    assert_int_equal(bar_pair(&w, "42", "A"), 120);
    assert_int_equal(bar_pair(&w, "43", "B"), 120);
    assert_int_equal(bar_pair(&w, "42", "B"), 100);
    assert_int_equal(bar_pair(&w, "43", "A"), 100);
    assert_int_equal(bar_company(&w, "42"), 120);
    assert_int_equal(bar_company(&w, "43"), 120);
    stream_delete(&w.stream, "1,43,B,", 130);
    assert_int_equal(bar_pair(&w, "43", "B"), 130);
    assert_int_equal(bar_pair(&w, "42", "A"), 120);
    assert_int_equal(bar_table(&w), 130);
    close_world(&w);
}

/* REPLICA IDENTITY USING INDEX (company, id): no old row proves that the company is the same. */
static void index_identity(void **unused)
{
    struct world w;

    (void)unused;
    open_described(&w, "ic");
    stream_update(&w.stream, NULL, "1,42,B,", 110);
    assert_int_equal(bar_company(&w, "42"), 110);
    assert_int_equal(bar_company(&w, "43"), 100);
    assert_int_equal(bar_pair(&w, "42", "B"), 110);
    assert_int_equal(bar_pair(&w, "42", "A"), 110); /* the companion: the old status is not known */
    assert_int_equal(bar_pair(&w, "43", "A"), 100);
    stream_update(&w.stream, "1,43,?,?", "1,44,C,", 120); /* the key changed */
    assert_int_equal(bar_company(&w, "43"), 120);
    assert_int_equal(bar_company(&w, "44"), 120);
    assert_int_equal(bar_pair(&w, "43", "A"), 120);
    assert_int_equal(bar_pair(&w, "44", "C"), 120);
    assert_int_equal(bar_pair(&w, "44", "A"), 100);
    stream_delete(&w.stream, "1,45,?,?", 130);
    assert_int_equal(bar_company(&w, "45"), 130);
    assert_int_equal(bar_pair(&w, "45", "A"), 130);
    assert_int_equal(bar_pair(&w, "44", "A"), 100);
    close_world(&w);
}

/* REPLICA IDENTITY DEFAULT (id): the old company is not known, so all of the shape it is. */
static void default_identity(void **unused)
{
    struct world w;
    uint32_t id;

    (void)unused;
    open_described(&w, "i");
    id = stream_shape(&w.stream, w.table, "id", NULL);
    cache_feed_position(w.state, 105);
    stream_insert(&w.stream, "1,42,A,", 110);
    assert_int_equal(bar_company(&w, "43"), 100);
    stream_update(&w.stream, NULL, "1,42,B,", 120);
    assert_int_equal(bar_company(&w, "43"), 120);
    assert_int_equal(bar_pair(&w, "9", "9"), 120);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, id, "1", NULL)), 120);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, id, "2", NULL)), 105);
    stream_delete(&w.stream, "1,?,?,?", 130);
    assert_int_equal(bar_company(&w, "43"), 130);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, id, "2", NULL)), 105);
    close_world(&w);
}

static void announce(struct world *world, const char *a, const char *b)
{
    struct hs_str columns[] = {hs_str(a), hs_str(b)};

    cache_feed_identity(world->state, CLIENTS, columns, b ? 2 : 1);
}

/* What is known of the identity before the first change: that change costs the other companies nothing. */
static void identity_announced(void **unused)
{
    struct cache_tag other;
    struct world w;

    (void)unused;
    open_world(&w, "ic");
    announce(&w, "company", "id");
    other = stream_tag(&w.stream, w.pair, "43", "A");
    stream_update(&w.stream, NULL, "1,42,B,", 110);
    assert_int_equal(bar_pair(&w, "42", "A"), 110);
    assert_int_equal(cache_tag_bar(w.state, other), 100);
    announce(&w, "id", NULL); /* the stream has said what it is */
    assert_int_equal(cache_tag_bar(w.state, other), 100);
    close_world(&w);
}

/* It was something else: what the stream says counts, and tags of before are void. */
static void identity_announced_wrongly(void **unused)
{
    struct cache_tag other;
    struct world w;

    (void)unused;
    open_world(&w, "i");
    announce(&w, "id", NULL);
    announce(&w, "company", NULL);
    other = stream_tag(&w.stream, w.pair, "43", "A");
    assert_int_equal(cache_tag_bar(w.state, other), 100);
    stream_update(&w.stream, NULL, "1,42,B,", 110);
    assert_true(cache_tag_bar(w.state, other) >= 110);
    assert_true(bar_pair(&w, "43", "A") >= 110);
    assert_true(bar_company(&w, "43") >= 110);
    close_world(&w);
}

static void nulls(void **unused)
{
    struct world w;

    (void)unused;
    open_described(&w, "ic");
    stream_insert(&w.stream, "1,-,A,", 110);
    stream_insert(&w.stream, "1,42,-,", 111);
    assert_int_equal(bar_company(&w, ""), 100);
    assert_int_equal(bar_pair(&w, "", "A"), 100);
    assert_int_equal(bar_pair(&w, "42", ""), 100);
    assert_int_equal(bar_company(&w, "42"), 111);
    stream_update(&w.stream, NULL, "1,-,B,", 120); /* its old status does not matter */
    assert_int_equal(bar_pair(&w, "43", "A"), 100);
    assert_int_equal(bar_table(&w), 120);
    close_world(&w);
}

static void toast(void **unused)
{
    struct world w;
    uint32_t note;

    (void)unused;
    open_described(&w, "icsn");
    note = stream_shape(&w.stream, w.table, "company", "note");
    cache_feed_position(w.state, 105);
    stream_update(&w.stream, "1,42,A,long", "1,42,B,?", 110); /* in the old row */
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, note, "42", "long")), 110);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, note, "42", "short")), 105);
    close_world(&w);

    open_described(&w, "ic");
    note = stream_shape(&w.stream, w.table, "company", "note");
    cache_feed_position(w.state, 105);
    stream_update(&w.stream, NULL, "1,42,B,?", 110); /* nowhere: the companion */
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, note, "42", "any")), 110);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, note, "43", "any")), 105);
    stream_update(&w.stream, NULL, "1,?,B,?", 120); /* not even the company */
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, note, "43", "any")), 120);
    close_world(&w);
}

/* A generated column, or one that was renamed, is not in the stream. */
static void column_not_in_stream(void **unused)
{
    struct world w;
    uint32_t shape;

    (void)unused;
    open_described(&w, "icsn");
    shape = stream_shape(&w.stream, w.table, "company", "generated");
    cache_feed_position(w.state, 105);
    stream_insert(&w.stream, "1,42,A,", 110);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, shape, "43", "x")), 110);
    assert_int_equal(bar_company(&w, "43"), 100);
    close_world(&w);
}

/* Tags made before the stream told the identity have no companion: they must not survive its use. */
static void companion_is_learnt(void **unused)
{
    struct world w;
    struct cache_tag before;

    (void)unused;
    open_world(&w, "ic");
    before = stream_tag(&w.stream, w.pair, "42", "A");
    assert_int_equal(before.companion_columns, 0);
    assert_int_equal(cache_tag_bar(w.state, before), 100);
    stream_insert(&w.stream, "1,42,B,", 110);
    assert_int_equal(cache_tag_bar(w.state, before), CACHE_NEVER);
    assert_int_equal(bar_pair(&w, "42", "A"), 110);
    assert_int_equal(bar_company(&w, "43"), 100); /* needs none, loses nothing */
    close_world(&w);
}

/* ALTER TABLE ... REPLICA IDENTITY, there and back. */
static void identity_changes(void **unused)
{
    struct world w;
    struct cache_tag before;

    (void)unused;
    open_described(&w, "ic");
    before = stream_tag(&w.stream, w.pair, "42", "A");
    assert_int_not_equal(before.companion_columns, 0);
    stream_describe(&w.stream, CLIENTS, "i");
    stream_insert(&w.stream, "2,99,A,", 110);
    assert_int_equal(cache_tag_bar(w.state, before), CACHE_NEVER);
    stream_update(&w.stream, NULL, "1,42,B,", 120);
    assert_int_equal(bar_pair(&w, "43", "A"), 120);
    stream_describe(&w.stream, CLIENTS, "ic");
    stream_insert(&w.stream, "2,99,A,", 130);
    assert_int_equal(cache_tag_bar(w.state, before), 130);
    assert_int_equal(bar_table(&w), 130);
    close_world(&w);
}

/* The same description once more, as with a new connection, costs nothing. */
static void described_again(void **unused)
{
    struct world w;

    (void)unused;
    open_described(&w, "ic");
    stream_describe(&w.stream, CLIENTS, "ic");
    stream_insert(&w.stream, "1,42,A,", 110);
    assert_int_equal(bar_company(&w, "43"), 100);
    assert_int_equal(bar_pair(&w, "43", "A"), 100);
    close_world(&w);
}

/* ---- partitions, TRUNCATE ---- */

static void partitions(void **unused)
{
    const uint32_t ancestors[] = {MIDDLE, ROOT};
    struct world w;
    uint32_t root;
    uint32_t shape;

    (void)unused;
    open_world(&w, "ic");
    root = cache_table(w.state, ROOT);
    shape = stream_shape(&w.stream, root, "company", NULL);
    cache_feed_table(w.state, ROOT, NULL, 0, STREAM_BEGUN);
    cache_feed_table(w.state, CLIENTS, ancestors, 2, STREAM_BEGUN);
    cache_feed_position(w.state, 105);
    stream_insert(&w.stream, "1,42,A,", 110);
    assert_int_equal(cache_tag_bar(w.state, cache_tag_table(w.state, root)), 110);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, shape, "42", NULL)), 110);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, shape, "43", NULL)), 105);
    cache_feed_truncate(w.state, CLIENTS, 120);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, shape, "43", NULL)), 120);
    assert_false(cache_table_is_coherent(w.state, cache_table(w.state, MIDDLE)));
    cache_feed_table(w.state, CLIENTS, NULL, 0, 130); /* detached */
    stream_insert(&w.stream, "1,42,A,", 140);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, shape, "42", NULL)), 120);
    assert_int_equal(bar_company(&w, "42"), 140);
    close_world(&w);
}

/* Two partitions with different identities: the companion is what both have. */
static void partitions_differ(void **unused)
{
    const uint32_t ancestors[] = {ROOT};
    struct world w;
    struct stream other;
    uint32_t shape;

    (void)unused;
    open_world(&w, "icsn");
    other = w.stream;
    stream_describe(&other, CLIENTS + 1, "ic");
    cache_feed_table(w.state, ROOT, NULL, 0, STREAM_BEGUN);
    cache_feed_table(w.state, CLIENTS, ancestors, 1, STREAM_BEGUN);
    cache_feed_table(w.state, CLIENTS + 1, ancestors, 1, STREAM_BEGUN);
    shape = stream_shape(&w.stream, cache_table(w.state, ROOT), "company", "status");
    cache_feed_position(w.state, 105);
    stream_insert(&w.stream, "1,7,A,", 110);
    stream_insert(&other, "1,7,A,", 120);
    stream_update(&other, NULL, "1,42,B,", 130);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, shape, "42", "A")), 130);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, shape, "43", "A")), 120);
    stream_update(&w.stream, "1,43,A,", "1,43,B,", 140);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, shape, "43", "A")), 140);
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, shape, "43", "C")), 120);
    close_world(&w);
}

static void truncate(void **unused)
{
    struct world w;

    (void)unused;
    open_world(&w, "icsn");
    cache_feed_truncate(w.state, CLIENTS, 110);
    assert_int_equal(bar_company(&w, "42"), 110);
    assert_int_equal(bar_table(&w), 110);
    cache_feed_table(w.state, CLIENTS, NULL, 0, 105); /* told anew: what was truncated stays so */
    assert_int_equal(bar_table(&w), 110);
    cache_feed_table(w.state, CLIENTS, NULL, 0, CACHE_NEVER);
    assert_int_equal(bar_table(&w), CACHE_NEVER);
    assert_false(cache_table_is_coherent(w.state, w.table));
    close_world(&w);
}

/* ---- shapes and bounds ---- */

static void shapes_are_born(void **unused)
{
    struct world w;
    struct hs_buf text;
    uint32_t shape;
    unsigned wakes;

    (void)unused;
    open_world(&w, "icsn");
    wakes = w.stream.wakes;
    assert_false(cache_feed_pending(w.state));
    shape = stream_shape(&w.stream, w.table, "status", NULL);
    assert_int_equal(w.stream.wakes, wakes + 1);
    assert_true(cache_feed_pending(w.state));
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, shape, "A", NULL)), CACHE_NEVER);
    stream_insert(&w.stream, "1,42,B,", 110);
    cache_feed_position(w.state, 115);
    assert_false(cache_feed_pending(w.state));
    assert_int_equal(cache_tag_bar(w.state, stream_tag(&w.stream, shape, "A", NULL)), 115);
    assert_int_equal(stream_shape(&w.stream, w.table, "status", NULL), shape);
    assert_int_equal(w.stream.wakes, wakes + 1);
    hs_buf_init(&text, 100);
    assert_true(cache_shape_text(w.state, w.pair, &text));
    assert_str(hs_buf_str(&text), HS_STR("company, status"));
    assert_false(cache_shape_text(w.state, 3, &text));
    hs_buf_fini(&text);
    close_world(&w);
}

static void bounds(void **unused)
{
    struct world w;
    const uint32_t roots[] = {ROOT};
    uint32_t root;

    (void)unused;
    open_world(&w, "icsn");
    assert_int_not_equal(stream_shape(&w.stream, w.table, "id", NULL), CACHE_NO_INDEX);
    assert_int_not_equal(stream_shape(&w.stream, w.table, "note", NULL), CACHE_NO_INDEX);
    assert_int_equal(stream_shape(&w.stream, w.table, "status", NULL), CACHE_NO_INDEX);
    assert_int_equal(stream_shape(&w.stream, w.table, "company", NULL), w.company);
    root = cache_table(w.state, ROOT);
    cache_feed_table(w.state, ROOT, NULL, 0, STREAM_BEGUN);
    for (uint32_t oid = 1; oid <= 6; oid++)
        assert_int_not_equal(cache_table(w.state, oid), CACHE_NO_INDEX);
    assert_int_equal(cache_table(w.state, 7), CACHE_NO_INDEX);
    assert_int_equal(cache_table(w.state, CLIENTS), w.table);
    assert_int_equal(stream_shape(&w.stream, CACHE_NO_INDEX, "id", NULL), CACHE_NO_INDEX);
    assert_int_equal(cache_tag_bar(w.state, cache_tag_table(w.state, CACHE_NO_INDEX)), CACHE_NEVER);
    assert_false(cache_table_is_coherent(w.state, CACHE_NO_INDEX));
    /* A partition that finds no room: its changes would be missed, so its root is not coherent. */
    assert_true(cache_table_is_coherent(w.state, root));
    cache_feed_table(w.state, 8, roots, 1, STREAM_BEGUN);
    assert_false(cache_table_is_coherent(w.state, root));
    cache_feed_table(w.state, ROOT, NULL, 0, STREAM_BEGUN);
    assert_false(cache_table_is_coherent(w.state, root));
    close_world(&w);
}

static void keys(void **unused)
{
    struct world w;
    struct stream stream = {.wakes = 0};
    struct cache_state_setup setup = stream_setup(&stream);
    struct cache_state *other;

    (void)unused;
    open_world(&w, "icsn");
    assert_int_equal(cache_state_new(&setup, &other, NULL), HS_OK);
    assert_true(cache_state_set_key(other, "another key, too"));
    assert_int_not_equal(cache_tag_table(other, cache_table(other, CLIENTS)).hash,
                         cache_tag_table(w.state, w.table).hash);
    assert_false(cache_state_set_key(other, "a key of the tag"));
    assert_true(cache_state_set_key(other, "another key, too"));
    /* Borders count. */
    assert_int_not_equal(stream_tag(&w.stream, w.pair, "ab", "c").hash,
                         stream_tag(&w.stream, w.pair, "a", "bc").hash);
    assert_int_not_equal(stream_tag(&w.stream, w.pair, "a", "b").hash,
                         stream_tag(&w.stream, w.pair, "b", "a").hash);
    cache_state_free(other);
    close_world(&w);
}

/* ---- the rule ---- */

static void prove(struct world *w, uint64_t position)
{
    cache_feed_position(w->state, position);
    cache_feed_fence(w->state, position);
    cache_feed_proof(w->state, NOW);
    cache_feed_poll(w->state, 1, NOW);
}

static bool is_hit(struct world *w, const struct cache_moment *moment, const struct cache_tag *tag)
{
    struct cache_view view;

    return cache_may_hit(w->state, no_token, NOW, &view) &&
           cache_is_valid(w->state, &view, moment, tag, 1);
}

static void hits(void **unused)
{
    struct world w;
    struct cache_moment moment;
    struct cache_tag tag;
    struct cache_status status;

    (void)unused;
    open_world(&w, "icsn");
    tag = stream_tag(&w.stream, w.company, "42", NULL);
    assert_false(cache_moment_now(w.state, 1, &moment)); /* no fence yet */
    prove(&w, 110);
    assert_int_equal(cache_proof_at(w.state), NOW);
    assert_true(cache_moment_now(w.state, 1, &moment));
    assert_int_equal(moment.fence, 110);
    assert_true(is_hit(&w, &moment, &tag));
    stream_insert(&w.stream, "1,43,A,", 120);
    assert_true(is_hit(&w, &moment, &tag));
    stream_insert(&w.stream, "1,42,A,", 120);
    assert_false(is_hit(&w, &moment, &tag));
    prove(&w, 125);
    assert_true(cache_moment_now(w.state, 1, &moment));
    assert_true(is_hit(&w, &moment, &tag));
    cache_feed_poll(w.state, 2, NOW);
    assert_false(is_hit(&w, &moment, &tag));
    cache_status(w.state, NOW, &status);
    assert_true(status.may_hit);
    assert_int_equal(status.fence, 125);
    assert_int_equal(status.n_tables, 1);
    assert_int_equal(status.n_coherent, 1);
    assert_int_equal(status.n_shapes, 2);
    assert_int_equal(status.view.generation, 2);
    close_world(&w);
}

/* A reader between its two halves while the feed begins anew, in the same epoch: the run tells. */
static void epochs(void **unused)
{
    struct world w;
    struct cache_moment moment;
    struct cache_tag tag;
    struct cache_view view;

    (void)unused;
    open_world(&w, "icsn");
    tag = stream_tag(&w.stream, w.company, "42", NULL);
    stream_insert(&w.stream, "1,42,A,", 150);
    prove(&w, 160);
    assert_true(cache_moment_now(w.state, 1, &moment));
    assert_true(cache_may_hit(w.state, no_token, NOW, &view));
    assert_true(cache_is_valid(w.state, &view, &moment, &tag, 1));
    stream_begin(&w.stream);
    assert_false(cache_is_valid(w.state, &view, &moment, &tag, 1));
    assert_false(cache_moment_now(w.state, 1, &moment));
    assert_false(cache_may_hit(w.state, no_token, NOW, &view));
    prove(&w, 200);
    assert_true(cache_moment_now(w.state, 1, &moment));
    assert_true(is_hit(&w, &moment, &tag));
    assert_int_equal(bar_company(&w, "42"), 100); /* stamps are forgotten */
    cache_feed_begin(w.state, STREAM_EPOCH + 1, 100);
    cache_feed_table(w.state, CLIENTS, NULL, 0, 100);
    prove(&w, 200);
    assert_false(is_hit(&w, &moment, &tag));
    cache_feed_end(w.state);
    assert_false(cache_may_hit(w.state, no_token, NOW, &view));
    assert_false(cache_moment_now(w.state, 1, &moment));
    close_world(&w);
}

/* ---- barriers ---- */

static bool may_hit(struct world *w)
{
    struct cache_view view;

    return cache_may_hit(w->state, no_token, NOW, &view);
}

static void require(struct world *w, uint64_t epoch, uint64_t position)
{
    cache_require(w->state, (struct cache_token){.epoch = epoch, .position = position});
}

static void barriers(void **unused)
{
    struct world w;
    struct cache_view view;

    (void)unused;
    open_world(&w, "icsn");
    prove(&w, 110);
    require(&w, CACHE_EPOCH_NONE, 500);
    assert_true(may_hit(&w));
    require(&w, STREAM_EPOCH, 120);
    require(&w, STREAM_EPOCH, 115);
    assert_false(may_hit(&w));
    cache_feed_position(w.state, 119);
    assert_false(may_hit(&w));
    cache_feed_position(w.state, 120);
    assert_true(may_hit(&w));
    assert_false(cache_may_hit(w.state, (struct cache_token){STREAM_EPOCH, 121}, NOW, &view));
    assert_false(cache_may_hit(w.state, (struct cache_token){STREAM_EPOCH + 1, 1}, NOW, &view));
    cache_require_proof(w.state, NOW + 5);
    assert_false(may_hit(&w));
    cache_feed_proof(w.state, NOW + 4);
    assert_false(may_hit(&w));
    cache_feed_proof(w.state, NOW + 5);
    assert_true(may_hit(&w));
    close_world(&w);
}

static void begin_epoch(struct world *w, uint64_t epoch)
{
    cache_feed_begin(w->state, epoch, STREAM_BEGUN);
    prove(w, 110);
}

static void foreign_barriers(void **unused)
{
    struct world w;

    (void)unused;
    open_world(&w, "icsn");
    begin_epoch(&w, 1);
    require(&w, 1, 200);
    require(&w, 2, 120); /* a write on a server that the feed is not at */
    cache_feed_position(w.state, 500);
    assert_false(may_hit(&w));
    begin_epoch(&w, 2); /* the barrier of the new epoch stays, that of the old one goes */
    assert_false(may_hit(&w));
    cache_feed_position(w.state, 120);
    assert_true(may_hit(&w));
    cache_saw_epoch(w.state, 2);
    assert_true(may_hit(&w));
    cache_saw_epoch(w.state, 3);
    assert_false(may_hit(&w));
    cache_saw_epoch(w.state,
                    2); /* epoch 3 was seen after the feed began: it may be the newer one */
    assert_false(may_hit(&w));
    begin_epoch(&w, 4); /* who was at 3 may be there still */
    assert_false(may_hit(&w));
    cache_saw_epoch(w.state, 4); /* no: a new connection is where the feed is */
    assert_true(may_hit(&w));
    cache_saw_epoch(w.state, 5);
    begin_epoch(&w, 6);
    assert_false(may_hit(&w));
    begin_epoch(&w, 7);
    assert_true(may_hit(&w));
    cache_saw_epoch(w.state, 8);
    cache_saw_epoch(w.state, 9);
    begin_epoch(&w, 9); /* 8 is over: 9 was seen after it */
    assert_true(may_hit(&w));
    close_world(&w);
}

/* More epochs than are remembered: the feed's own barrier is not the one to go. */
static void many_epochs(void **unused)
{
    struct world w;

    (void)unused;
    open_world(&w, "icsn");
    begin_epoch(&w, 1);
    require(&w, 1, 200);
    for (uint64_t epoch = 2; epoch < 12; epoch++)
        cache_saw_epoch(w.state, epoch);
    begin_epoch(&w, 1);
    cache_saw_epoch(w.state, 1);
    assert_false(may_hit(&w));
    cache_feed_position(w.state, 200);
    assert_true(may_hit(&w));
    close_world(&w);
}

/* ---- lack of memory ---- */

static bool scenario(void *arg)
{
    static const uint32_t root[] = {ROOT};
    struct world w = {.table = 0};
    struct cache_state_setup setup = stream_setup(&w.stream);
    struct cache_tag tag;
    uint32_t shape;

    (void)arg;
    if (cache_state_new(&setup, &w.state, NULL))
        return false;
    w.stream.state = w.state;
    stream_describe(&w.stream, CLIENTS, "icsn");
    w.table = stream_begin(&w.stream);
    cache_feed_table(w.state, ROOT, NULL, 0, STREAM_BEGUN);
    cache_feed_table(w.state, CLIENTS, root, 1, STREAM_BEGUN);
    shape = stream_shape(&w.stream, cache_table(w.state, ROOT), "company", NULL);
    cache_feed_position(w.state, 105);
    stream_insert(&w.stream, "1,42,A,", 110);
    tag = cache_tag_table(w.state, cache_table(w.state, ROOT));
    assert_true(cache_tag_bar(w.state, tag) >= 110); /* whatever failed */
    if (shape != CACHE_NO_INDEX) {
        tag = stream_tag(&w.stream, shape, "42", NULL);
        assert_true(cache_tag_bar(w.state, tag) >= 110);
    }
    cache_state_free(w.state);
    return true;
}

static void no_memory(void **unused)
{
    (void)unused;
    fault_each(scenario, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_identity),
        cmocka_unit_test(index_identity),
        cmocka_unit_test(default_identity),
        cmocka_unit_test(identity_announced),
        cmocka_unit_test(identity_announced_wrongly),
        cmocka_unit_test(nulls),
        cmocka_unit_test(toast),
        cmocka_unit_test(column_not_in_stream),
        cmocka_unit_test(companion_is_learnt),
        cmocka_unit_test(identity_changes),
        cmocka_unit_test(described_again),
        cmocka_unit_test(partitions),
        cmocka_unit_test(partitions_differ),
        cmocka_unit_test(truncate),
        cmocka_unit_test(shapes_are_born),
        cmocka_unit_test(bounds),
        cmocka_unit_test(keys),
        cmocka_unit_test(hits),
        cmocka_unit_test(epochs),
        cmocka_unit_test(barriers),
        cmocka_unit_test(foreign_barriers),
        cmocka_unit_test(many_epochs),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
