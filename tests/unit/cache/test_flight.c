/* SPDX-License-Identifier: Apache-2.0 */
/* Flights: who joins, who may not, what each is told, what is kept of it, and keys that are not worth it. */
#include "store_world.h"

#include "fault.h"

static const struct cache_store_setup SETUP = {.bytes_max = 1 << 20,
                                               .entries_max = 1000,
                                               .entry_max = 4096,
                                               .waiters_max = 3,
                                               .unfit_time = 10 * HS_SECOND};
static const struct cache_tag TAG[] = {{.hash = 1, .table = 10, .shape = CACHE_NO_INDEX}};
static const struct hs_str V = {"v", 1};

/* One who asks, and what he was told. */
struct asker {
    struct cache_joiner joiner;
    enum cache_got got;
    enum cache_why why;
    struct cache_entry *entry;
    struct cache_flight *flight;
    unsigned told;
};

static struct net_loop *loop;

static void on_done(struct cache_joiner *joiner, struct cache_entry *entry)
{
    struct asker *asker = HS_CONTAINER(joiner, struct asker, joiner);

    asker->told++;
    asker->entry = entry;
}

static void ask_for(struct world *w, const struct cache_ask *ask, struct asker *asker)
{
    *asker = (struct asker){.joiner = {.loop = loop, .done = on_done}};
    asker->got = cache_get(w->store, ask, &asker->joiner, &asker->entry, &asker->flight,
                           &asker->why);
}

static void fill(struct world *w, struct asker *leader, struct hs_str body)
{
    struct cache_answer answer = world_answer(body);

    assert_int_equal(leader->got, CACHE_LEAD);
    cache_fill(leader->flight, &answer, w->now);
}

/* Was told once, that; p == NULL: to ask himself. */
static void assert_told(struct asker *asker, struct hs_str body)
{
    net_loop_deliver(loop);
    assert_int_equal(asker->got, CACHE_JOIN);
    assert_int_equal(asker->told, 1);
    assert_int_equal(asker->entry != NULL, body.p != NULL);
    if (asker->entry)
        assert_str(cache_entry_body(asker->entry), body);
    cache_entry_unref(asker->entry);
    asker->entry = NULL;
}

static bool is_kept(struct world *w, struct hs_str body)
{
    struct cache_entry *entry = cache_peek(w->store, HS_STR("k"), hs_hash(HS_STR("k")));
    bool is = entry && hs_str_eq(cache_entry_body(entry), body);

    cache_entry_unref(entry);
    return is;
}

static struct cache_ask begin(struct world *w)
{
    world_init(w, &SETUP);
    return world_ask(w, "k", TAG, 1);
}

static void end(struct world *w)
{
    assert_int_equal(world_stats(w).flights, 0);
    world_fini(w);
}

/* ---- joining ---- */

static void test_join(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker lead;
    struct asker join[4];

    (void)state;
    ask_for(&w, &ask, &lead);
    assert_int_equal(lead.got, CACHE_LEAD);
    assert_int_equal(cache_flight_moment(lead.flight)->fence, 1000);
    for (int i = 0; i < 3; i++) {
        ask_for(&w, &ask, &join[i]);
        assert_int_equal(join[i].got, CACHE_JOIN);
    }
    ask_for(&w, &ask, &join[3]); /* one more than waiters_max */
    assert_int_equal(join[3].got, CACHE_LEAD);
    assert_int_equal(world_stats(&w).flights, 2);
    assert_int_equal(world_stats(&w).joined, 3);
    fill(&w, &lead, V);
    assert_int_equal(join[0].told, 0); /* by mail only */
    for (int i = 0; i < 3; i++)
        assert_told(&join[i], V);
    fill(&w, &join[3], HS_STR("w"));
    assert_true(is_kept(&w, HS_STR("w")));
    end(&w);
}

/* Another key of the same hash is another flight. */
static void test_whole_key_compare(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct cache_ask other = ask;
    struct asker a;
    struct asker b;

    (void)state;
    other.key = HS_STR("K");
    ask_for(&w, &ask, &a);
    ask_for(&w, &other, &b);
    fill(&w, &a, V);
    fill(&w, &b, HS_STR("w"));
    assert_true(is_kept(&w, V));
    end(&w);
}

/* Who has seen a write does not take an answer from before it, stamped or behind a barrier. */
static void test_flight_rule(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker old;
    struct asker new;
    struct asker join;

    (void)state;
    ask_for(&w, &ask, &old);
    world_write(&w, 1);
    ask_for(&w, &ask, &new);
    assert_int_equal(new.got, CACHE_LEAD);
    assert_true(cache_flight_moment(new.flight)->fence > cache_flight_moment(old.flight)->fence);
    ask_for(&w, &ask, &join);
    fill(&w, &new, HS_STR("after"));
    assert_told(&join, HS_STR("after"));
    fill(&w, &old, HS_STR("before"));
    assert_true(is_kept(&w, HS_STR("after")));
    end(&w);
}

static void test_join_barrier(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker first;
    struct asker second;

    (void)state;
    ask_for(&w, &ask, &first);
    w.state.required = 1500;
    ask_for(&w, &ask, &second);
    assert_int_equal(second.got, CACHE_LEAD);
    assert_int_equal(second.why, CACHE_WHY_NOT_PROVEN);
    cache_drop(first.flight, false);
    cache_drop(second.flight, false);
    end(&w);
}

static void test_own_conditions(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker lead;
    struct asker other;

    (void)state;
    ask_for(&w, &ask, &lead);
    ask.token = (struct cache_token){EPOCH, 1001};
    ask_for(&w, &ask, &other);
    assert_int_equal(other.got, CACHE_LEAD);
    assert_int_equal(other.why, CACHE_WHY_TOKEN);
    cache_drop(other.flight, false);
    ask.token = (struct cache_token){0};
    ask.is_fresh = true;
    ask_for(&w, &ask, &other);
    assert_int_equal(other.got, CACHE_LEAD);
    assert_int_equal(other.why, CACHE_WHY_ASKED);
    cache_drop(other.flight, false);
    cache_drop(lead.flight, false);
    end(&w);
}

/* Judged again when the answer is there, each by his own. */
static void test_told_by_the_rule(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker lead;
    struct asker plain;
    struct asker token;

    (void)state;
    ask_for(&w, &ask, &lead);
    ask_for(&w, &ask, &plain);
    ask.token = (struct cache_token){EPOCH, 1000};
    ask_for(&w, &ask, &token);
    w.state.position = 999; /* as another feed would have it: the token is not passed any more */
    fill(&w, &lead, V);
    assert_told(&plain, V);
    assert_told(&token, HS_STR_NULL);
    end(&w);
}

static void test_barrier_when_told(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker lead;
    struct asker join;

    (void)state;
    ask_for(&w, &ask, &lead);
    ask_for(&w, &ask, &join);
    w.state.required = 1500;
    fill(&w, &lead, V);
    assert_told(&join, HS_STR_NULL);
    assert_true(is_kept(&w, V)); /* for when the barrier is passed */
    end(&w);
}

static void test_drop(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker lead;
    struct asker join;

    (void)state;
    ask_for(&w, &ask, &lead);
    ask_for(&w, &ask, &join);
    cache_drop(lead.flight, false);
    assert_told(&join, HS_STR_NULL);
    ask_for(&w, &ask, &lead);
    fill(&w, &lead, V);
    ask_for(&w, &ask, &join);
    assert_int_equal(join.got, CACHE_HIT);
    cache_entry_unref(join.entry);
    end(&w);
}

/* ---- what is kept ---- */

/* A change while the statement ran: nobody but the leader may have it. */
static void test_born_invalid(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker lead;
    struct asker join;

    (void)state;
    ask_for(&w, &ask, &lead);
    ask_for(&w, &ask, &join);
    world_write(&w, 1);
    fill(&w, &lead, V);
    assert_told(&join, HS_STR_NULL);
    assert_false(is_kept(&w, V));
    assert_int_equal(world_stats(&w).refused, 1);
    end(&w);
}

static void test_epochs(void **state)
{
    static const uint64_t EPOCHS[] = {CACHE_EPOCH_NONE, EPOCH + 1};
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker lead;
    struct asker join;

    (void)state;
    for (unsigned i = 0; i < HS_LEN(EPOCHS); i++) {
        struct cache_answer answer = world_answer(V);

        answer.epoch = EPOCHS[i];
        ask_for(&w, &ask, &lead);
        ask_for(&w, &ask, &join);
        cache_fill(lead.flight, &answer, w.now);
        assert_told(&join, HS_STR_NULL);
        assert_false(is_kept(&w, V));
    }
    end(&w);
}

/* The label is the epoch of the fence, not the one in which the answer came. */
static void test_fill_epoch(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct cache_answer answer = world_answer(V);
    struct asker lead;

    (void)state;
    ask_for(&w, &ask, &lead);
    w.state.epoch = answer.epoch = EPOCH + 1;
    cache_fill(lead.flight, &answer, w.now);
    assert_false(is_kept(&w, V));
    end(&w);
}

static void test_catalog_gen_before(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker lead;

    (void)state;
    ask_for(&w, &ask, &lead);
    w.state.generation++;
    fill(&w, &lead, V);
    assert_false(is_kept(&w, V));
    end(&w);
}

static void test_older_does_not_replace(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker old;
    struct asker new;

    (void)state;
    ask_for(&w, &ask, &old);
    world_write(&w, 2); /* of others: the fence moves on */
    ask.is_fresh = true;
    ask_for(&w, &ask, &new);
    fill(&w, &new, HS_STR("new"));
    fill(&w, &old, HS_STR("old"));
    assert_true(is_kept(&w, HS_STR("new")));
    ask_for(&w, &ask, &new);
    fill(&w, &new, HS_STR("newer"));
    assert_true(is_kept(&w, HS_STR("newer")));
    assert_int_equal(world_stats(&w).entries, 1);
    end(&w);
}

static void test_too_long(void **state)
{
    static char bytes[5000];
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker lead;
    struct asker join;

    (void)state;
    ask_for(&w, &ask, &lead);
    ask_for(&w, &ask, &join);
    memset(bytes, 'x', sizeof(bytes));
    fill(&w, &lead, hs_strn(bytes, sizeof(bytes)));
    assert_told(&join, hs_strn(bytes, sizeof(bytes)));
    ask_for(&w, &ask, &lead);
    fill(&w, &lead, hs_strn(bytes, sizeof(bytes)));
    assert_int_equal(world_stats(&w).entries, 0);
    assert_int_equal(world_stats(&w).refused, 2);
    end(&w);
}

static void test_no_ttl(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct cache_answer answer = world_answer(V);
    struct asker lead;
    struct asker join;

    (void)state;
    answer.ttl = 0;
    ask_for(&w, &ask, &lead);
    ask_for(&w, &ask, &join);
    cache_fill(lead.flight, &answer, w.now);
    assert_told(&join, V);
    assert_false(is_kept(&w, V));
    end(&w);
}

/* Who asks behind a purge gets nothing from before it. */
static void test_purge(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker lead;
    struct asker join;
    struct asker later;

    (void)state;
    ask_for(&w, &ask, &lead);
    ask_for(&w, &ask, &join);
    (void)cache_purge(w.store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    ask_for(&w, &ask, &later);
    fill(&w, &lead, V);
    assert_told(&join, V);
    assert_false(is_kept(&w, V));
    fill(&w, &later, HS_STR("later"));
    assert_true(is_kept(&w, HS_STR("later")));
    end(&w);
}

/* ---- keys that are not worth it ---- */

static void test_unfit(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker asker;

    (void)state;
    ask_for(&w, &ask, &asker);
    cache_drop(asker.flight, /* is_unfit= */ true);
    ask_for(&w, &ask, &asker);
    assert_int_equal(asker.got, CACHE_BYPASS);
    assert_int_equal(asker.why, CACHE_WHY_UNFIT);
    ask.now += SETUP.unfit_time - 1;
    ask_for(&w, &ask, &asker);
    assert_int_equal(asker.got, CACHE_BYPASS);
    ask.now++;
    ask_for(&w, &ask, &asker);
    assert_int_equal(asker.got, CACHE_LEAD);
    cache_drop(asker.flight, false);
    end(&w);
}

/* How many fills that are born invalid, one after the other, until the key is unfit; at most `max`. */
static unsigned strikes(struct world *w, const struct cache_ask *ask, unsigned max)
{
    for (unsigned n = 0; n < max; n++) {
        struct asker asker;

        ask_for(w, ask, &asker);
        if (asker.got == CACHE_BYPASS)
            return n;
        world_write(w, 1);
        fill(w, &asker, V);
    }
    return max;
}

static void test_stamped_constantly(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker asker;
    unsigned n = strikes(&w, &ask, 100);

    (void)state;
    assert_in_range(n, 2, 20);
    ask.now += SETUP.unfit_time;
    w.now = ask.now;
    w.state.proof_at = w.now;
    assert_int_equal(strikes(&w, &ask, n - 1), n - 1);
    /* One that is kept in between, and they count from the beginning. */
    ask_for(&w, &ask, &asker);
    fill(&w, &asker, V);
    assert_true(is_kept(&w, V));
    world_write(&w, 1);
    assert_int_equal(strikes(&w, &ask, n - 1), n - 1);
    end(&w);
}

/* What is invalid before it is asked for (a shape without a floor, a change beyond the fence) leads no flight. */
static void test_settling(void **state)
{
    struct world w;
    struct cache_ask ask = begin(&w);
    struct asker asker;

    (void)state;
    w.state.stamps[1] = CACHE_NEVER;
    for (unsigned i = 0; i < 100; i++) {
        ask_for(&w, &ask, &asker);
        assert_int_equal(asker.got, CACHE_BYPASS);
        assert_int_equal(asker.why, CACHE_WHY_SETTLING);
    }
    w.state.stamps[1] = 0;
    ask_for(&w, &ask, &asker);
    fill(&w, &asker, V);
    assert_true(is_kept(&w, V));
    end(&w);
}

/* ---- memory ---- */

/* Whatever fails: nobody is left waiting, and what is not kept is not there. */
static bool coalesce(void *arg)
{
    struct world *w = arg;
    struct cache_ask ask = world_ask(w, "k", TAG, 1);
    struct asker lead;
    struct asker join;
    bool done;

    ask_for(w, &ask, &lead);
    if (lead.got == CACHE_BYPASS)
        return false;
    ask_for(w, &ask, &join);
    fill(w, &lead, V);
    net_loop_deliver(loop);
    if (join.got == CACHE_JOIN)
        assert_int_equal(join.told, 1);
    done = join.got == CACHE_JOIN && join.entry;
    assert_true(done == is_kept(w, V) || join.got == CACHE_BYPASS);
    cache_entry_unref(join.entry);
    assert_int_equal(world_stats(w).entries, done);
    (void)cache_purge(w->store, &(struct cache_purge){.table = CACHE_NO_INDEX});
    return done;
}

static void test_without_memory(void **state)
{
    struct world w;

    (void)state;
    (void)begin(&w);
    fault_each(coalesce, &w);
    end(&w);
}

static int make_loop(void **state)
{
    struct hs_err err;

    (void)state;
    return net_loop_new(&loop, NULL, &err) ? -1 : 0;
}

static int free_loop(void **state)
{
    (void)state;
    net_loop_free(loop);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join),
        cmocka_unit_test(test_whole_key_compare),
        cmocka_unit_test(test_flight_rule),
        cmocka_unit_test(test_join_barrier),
        cmocka_unit_test(test_own_conditions),
        cmocka_unit_test(test_told_by_the_rule),
        cmocka_unit_test(test_barrier_when_told),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_born_invalid),
        cmocka_unit_test(test_epochs),
        cmocka_unit_test(test_fill_epoch),
        cmocka_unit_test(test_catalog_gen_before),
        cmocka_unit_test(test_older_does_not_replace),
        cmocka_unit_test(test_too_long),
        cmocka_unit_test(test_no_ttl),
        cmocka_unit_test(test_purge),
        cmocka_unit_test(test_unfit),
        cmocka_unit_test(test_stamped_constantly),
        cmocka_unit_test(test_settling),
        cmocka_unit_test(test_without_memory),
    };

    return cmocka_run_group_tests(tests, make_loop, free_loop);
}
