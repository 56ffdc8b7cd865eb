/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Positions, the rule over them, barriers, and those who wait.
 *
 * A hit is: the view (run, epoch, position, proof, barrier), then floors and stamps, then run and epoch
 * once more. The feed stores stamps before the position that covers them, so a position that was seen brings its
 * stamps along. A beginning takes the epoch away and counts the run up before it clears a single stamp: a
 * reader that saw a cleared one sees another run at its end, also if the epoch is the same again.
 *
 *     feed     epoch = NONE, run++    clear stamps, set floors    epoch = E
 *     reader   run, epoch, position ...   floors, stamps ...      run, epoch: the same?
 *
 * Barriers: one token for each epoch that a write or a connection showed. That of the feed's epoch is a
 * position; any other stops all hits, since positions do not compare. A token of an epoch that the feed has left
 * is void, and so is one that was seen before the latest of the feed's epoch. Any other from before the feed
 * began is believed until a new connection, or another beginning, shows that the servers have moved on.
 */
#include "cache/state_int.h"

#include "core/guard.h"
#include "core/mem.h"

hs_status cache_state_new(const struct cache_state_setup *setup, struct cache_state **ret_state,
                          struct hs_err *reterr)
{
    struct cache_state *state = hs_calloc(1, sizeof(*state));

    HS_BUG_ON(setup->stamps == 0 || (setup->stamps & (setup->stamps - 1)));
    if (!state)
        return hs_fail_memory(reterr);
    state->setup = *setup;
    state->mask = setup->stamps - 1;
    atomic_init(&state->catalog_floor, CACHE_NEVER);
    pthread_mutex_init(&state->registry, NULL);
    pthread_mutex_init(&state->barrier_lock, NULL);
    pthread_mutex_init(&state->waiting_lock, NULL);
    hs_list_init(&state->waiting);
    state->stamps = hs_calloc(setup->stamps, sizeof(*state->stamps));
    if (!state->stamps || state_tags_init(state, reterr)) {
        cache_state_free(state);
        return hs_fail_memory(reterr);
    }
    *ret_state = state;
    return HS_OK;
}

void cache_state_free(struct cache_state *state)
{
    if (!state)
        return;
    state_stamps_fini(state);
    state_tags_fini(state);
    hs_free(state->stamps);
    pthread_mutex_destroy(&state->waiting_lock);
    pthread_mutex_destroy(&state->barrier_lock);
    pthread_mutex_destroy(&state->registry);
    hs_free(state);
}

/* ---- the rule ---- */

/*
 * The run first: who sees a new one sees at least that the old epoch is gone. A poll before the generation that
 * it found, for the same reason.
 */
static void load_view(const struct cache_state *state, struct cache_view *ret)
{
    ret->run = state_load(&state->run);
    ret->epoch = state_load(&state->epoch);
    ret->position = state_load(&state->position);
    ret->begun = state_load(&state->begun);
    ret->proof_at = state_load(&state->proof_at);
    ret->poll_at = state_load(&state->poll_at);
    ret->generation = state_load(&state->generation);
    ret->required_proof = state_load(&state->required_proof);
    ret->required = (struct cache_token){.epoch = state_load(&state->required_epoch)};
    if (ret->required.epoch == CACHE_EPOCH_NONE) {
        ret->required.position = state_load(&state->required_position);
        ret->required.epoch = ret->required.position ? ret->epoch : CACHE_EPOCH_NONE;
    }
}

static bool is_same_run(const struct cache_state *state, uint64_t run, uint64_t epoch)
{
    return state_load(&state->epoch) == epoch && state_load(&state->run) == run;
}

bool cache_moment_now(const struct cache_state *state, uint64_t generation,
                      struct cache_moment *ret_moment)
{
    uint64_t run = state_load(&state->run);

    ret_moment->epoch = state_load(&state->epoch);
    ret_moment->fence = state_load(&state->fence);
    ret_moment->generation = generation;
    return ret_moment->epoch != CACHE_EPOCH_NONE && ret_moment->fence &&
           is_same_run(state, run, ret_moment->epoch);
}

bool cache_may_hit(const struct cache_state *state, struct cache_token token, hs_us now,
                   struct cache_view *ret_view)
{
    load_view(state, ret_view);
    return cache_rule_position(ret_view, token, now, state->setup.max_staleness);
}

uint64_t cache_catalog_floor(const struct cache_state *state)
{
    return state_load(&state->catalog_floor);
}

hs_us cache_proof_at(const struct cache_state *state)
{
    return state_load(&state->proof_at);
}

static bool is_tag_valid(const struct cache_state *state, uint64_t fence,
                         const struct cache_tag *tag)
{
    struct state_bars bars;

    return state_tag_bars(state, tag, &bars) &&
           cache_rule_tag(fence, bars.table_floor, bars.shape_floor, bars.stamp);
}

bool cache_is_valid(const struct cache_state *state, const struct cache_view *view,
                    const struct cache_moment *entry, const struct cache_tag *tags, size_t n_tags)
{
    if (!cache_rule_entry(view, entry))
        return false;
    for (size_t i = 0; i < n_tags; i++) {
        if (!is_tag_valid(state, entry->fence, &tags[i]))
            return false;
    }
    return is_same_run(state, view->run, view->epoch);
}

void cache_status(const struct cache_state *state, hs_us now, struct cache_status *ret_status)
{
    struct cache_token none = {.epoch = CACHE_EPOCH_NONE};
    size_t n = atomic_load_explicit(&state->n_tables, memory_order_acquire);

    ret_status->may_hit = cache_may_hit(state, none, now, &ret_status->view);
    ret_status->fence = state_load(&state->fence);
    ret_status->n_tables = n;
    ret_status->n_coherent = 0;
    for (size_t i = 0; i < n; i++)
        ret_status->n_coherent += cache_table_is_coherent(state, (uint32_t)i);
    ret_status->n_shapes = atomic_load_explicit(&state->n_shapes, memory_order_acquire);
}

/* ---- barriers; all of it under the lock ---- */

/* The latest of another epoch stands for all of them. */
static void publish_barriers(struct cache_state *state)
{
    uint64_t position = 0;
    uint64_t epoch = CACHE_EPOCH_NONE;

    for (size_t i = 0; i < state->n_barriers; i++) {
        if (state->barriers[i].token.epoch == state->feed_epoch)
            position = state->barriers[i].token.position;
        else
            epoch = state->barriers[i].token.epoch;
    }
    state_store(&state->required_position, position);
    state_store(&state->required_epoch, epoch);
}

static void remove_barrier(struct cache_state *state, size_t i)
{
    state->n_barriers--;
    memmove(&state->barriers[i], &state->barriers[i + 1],
            (state->n_barriers - i) * sizeof(state->barriers[0]));
}

/* Of more epochs than there is room for the oldest goes; any one of another epoch stops all hits alike. */
static void make_room(struct cache_state *state)
{
    if (state->n_barriers == STATE_BARRIERS_MAX)
        remove_barrier(state, state->barriers[0].token.epoch == state->feed_epoch ? 1 : 0);
}

static void raise_barrier(struct cache_state *state, struct cache_token token)
{
    struct state_barrier barrier = {.token = token};

    for (size_t i = 0; i < state->n_barriers; i++) {
        struct cache_token *old = &state->barriers[i].token;

        if (old->epoch != token.epoch)
            continue;
        if (old->position > token.position)
            barrier.token.position = old->position;
        remove_barrier(state, i);
        break;
    }
    make_room(state);
    state->barriers[state->n_barriers++] = barrier;
    publish_barriers(state);
}

void cache_require(struct cache_state *state, struct cache_token token)
{
    if (token.epoch == CACHE_EPOCH_NONE || !HS_GUARD(required_position))
        return;
    pthread_mutex_lock(&state->barrier_lock);
    raise_barrier(state, token);
    pthread_mutex_unlock(&state->barrier_lock);
}

void cache_require_proof(struct cache_state *state, hs_us now)
{
    if (!HS_GUARD(required_position))
        return;
    pthread_mutex_lock(&state->barrier_lock);
    state_raise(&state->required_proof, now);
    pthread_mutex_unlock(&state->barrier_lock);
}

/* A new connection reached the feed's server: others that were seen before the feed began are gone. */
static void drop_old_barriers(struct cache_state *state)
{
    for (size_t i = state->n_barriers; i-- > 0;) {
        if (state->barriers[i].token.epoch != state->feed_epoch && state->barriers[i].is_old)
            remove_barrier(state, i);
    }
    publish_barriers(state);
}

void cache_saw_epoch(struct cache_state *state, uint64_t epoch)
{
    if (epoch == CACHE_EPOCH_NONE)
        return;
    pthread_mutex_lock(&state->barrier_lock);
    if (state_load(&state->epoch) != epoch)
        raise_barrier(state, (struct cache_token){.epoch = epoch});
    else
        drop_old_barriers(state);
    pthread_mutex_unlock(&state->barrier_lock);
}

/* The feed is in another epoch, or once more in the same. What was seen before this one was is over. */
static void review_barriers(struct cache_state *state, uint64_t epoch)
{
    uint64_t left = state->feed_epoch;
    bool is_over = false;

    for (size_t i = state->n_barriers; i-- > 0;) {
        struct state_barrier *barrier = &state->barriers[i];

        if (barrier->token.epoch == epoch)
            is_over = true;
        else if (is_over || barrier->token.epoch == left || barrier->is_old)
            remove_barrier(state, i);
        else
            barrier->is_old = true;
    }
    state->feed_epoch = epoch;
    publish_barriers(state);
}

/* ---- those who wait ---- */

static void deliver(struct net_mail *mail)
{
    struct cache_waiter *waiter = HS_CONTAINER(mail, struct cache_waiter, mail);

    HS_OBJ(waiter, CACHE_WAITER_MAGIC);
    waiter->done(waiter);
}

static struct cache_waiter *waiter_at(struct hs_list *node)
{
    return HS_CONTAINER(node, struct cache_waiter, node);
}

/*
 * Whether the feed has passed it. These loads and the store of `wanted` on the one side, the store of the position
 * and the load of `wanted` on the other, are in one order for all threads: either the waiter sees the
 * position, or the feed sees the waiter.
 */
static bool has_passed(const struct cache_state *state, struct cache_token token)
{
    struct cache_view view = {.epoch = atomic_load(&state->epoch)};

    view.position = atomic_load(&state->position);
    return view.epoch != CACHE_EPOCH_NONE && cache_rule_passed(&view, token) &&
           atomic_load(&state->epoch) == view.epoch;
}

/* Under the lock. One whose epoch is not the feed's asks nothing of it. */
static void publish_wanted(struct cache_state *state)
{
    uint64_t epoch = atomic_load(&state->epoch);
    uint64_t wanted = 0;

    for (struct hs_list *node = state->waiting.next; node != &state->waiting; node = node->next) {
        struct cache_token token = waiter_at(node)->token;

        if (token.epoch == epoch && (!wanted || token.position < wanted))
            wanted = token.position;
    }
    atomic_store(&state->wanted, wanted);
}

bool cache_wait(struct cache_state *state, struct cache_waiter *waiter)
{
    bool has;

    HS_OBJ(waiter, CACHE_WAITER_MAGIC);
    waiter->is_waiting = false;
    if (has_passed(state, waiter->token))
        return true;
    waiter->mail.deliver = deliver;
    pthread_mutex_lock(&state->waiting_lock);
    hs_list_append(&state->waiting, &waiter->node);
    publish_wanted(state);
    has = has_passed(state, waiter->token);
    if (has) {
        hs_list_remove(&waiter->node);
        publish_wanted(state);
    }
    waiter->is_waiting = !has;
    pthread_mutex_unlock(&state->waiting_lock);
    if (!has)
        state->setup.wake(state->setup.wake_ctx);
    return has;
}

bool cache_wait_end(struct cache_state *state, struct cache_waiter *waiter)
{
    bool was_waiting;

    pthread_mutex_lock(&state->waiting_lock);
    was_waiting = waiter->is_waiting;
    if (was_waiting) {
        hs_list_remove(&waiter->node);
        waiter->is_waiting = false;
        publish_wanted(state);
    }
    pthread_mutex_unlock(&state->waiting_lock);
    return was_waiting;
}

/* Mail is posted behind the lock: it may call the kernel. Until then the waiter cannot end. */
static void wake_waiters(struct cache_state *state)
{
    struct hs_list passed;
    struct hs_list *node;

    hs_list_init(&passed);
    pthread_mutex_lock(&state->waiting_lock);
    for (node = state->waiting.next; node != &state->waiting;) {
        struct cache_waiter *waiter = waiter_at(node);

        node = node->next;
        if (!has_passed(state, waiter->token))
            continue;
        hs_list_remove(&waiter->node);
        hs_list_append(&passed, &waiter->node);
        waiter->is_waiting = false;
    }
    publish_wanted(state);
    pthread_mutex_unlock(&state->waiting_lock);
    while ((node = hs_list_pop(&passed))) {
        struct cache_waiter *waiter = waiter_at(node);

        net_loop_post(waiter->loop, &waiter->mail);
    }
}

uint64_t cache_feed_wanted(const struct cache_state *state)
{
    return state_load(&state->wanted);
}

/* ---- the feed's thread ---- */

void cache_feed_begin(struct cache_state *state, uint64_t epoch, uint64_t begun)
{
    cache_feed_end(state);
    state_stamps_reset(state, begun);
    state_store(&state->begun, begun);
    state_store(&state->position, begun);
    pthread_mutex_lock(&state->barrier_lock);
    review_barriers(state, epoch);
    atomic_store(&state->epoch, epoch);
    pthread_mutex_unlock(&state->barrier_lock);
    wake_waiters(state);
}

/* Under the barrier's lock, so that cache_saw_epoch() knows whose epoch it compares with. */
void cache_feed_end(struct cache_state *state)
{
    pthread_mutex_lock(&state->barrier_lock);
    atomic_store(&state->epoch, CACHE_EPOCH_NONE);
    state_store(&state->run, state_load(&state->run) + 1);
    pthread_mutex_unlock(&state->barrier_lock);
    state_store(&state->fence, 0);
    state_store(&state->proof_at, 0);
    state_store(&state->poll_at, 0);
}

void cache_feed_position(struct cache_state *state, uint64_t position)
{
    uint64_t wanted;

    if (position < state_load(&state->position))
        position = state_load(&state->position);
    state_settle(state, position);
    atomic_store(&state->position, position);
    wanted = atomic_load(&state->wanted);
    if (wanted && wanted <= position)
        wake_waiters(state);
}

void cache_feed_fence(struct cache_state *state, uint64_t fence)
{
    state_raise(&state->fence, fence);
}

/* A sample taken after the change was noticed is behind the change, and the position is behind the sample. */
void cache_feed_proof(struct cache_state *state, hs_us sampled_at)
{
    state_raise(&state->proof_at, sampled_at);
    if (state_load(&state->catalog_floor) == CACHE_NEVER && sampled_at >= state->catalog_at)
        state_store(&state->catalog_floor, state_load(&state->position));
}

void cache_feed_catalog(struct cache_state *state, hs_us now)
{
    state->catalog_at = now;
    state_store(&state->catalog_floor, CACHE_NEVER);
}

void cache_feed_poll(struct cache_state *state, uint64_t generation, hs_us polled_at)
{
    state_store(&state->generation, generation);
    state_raise(&state->poll_at, polled_at);
}
